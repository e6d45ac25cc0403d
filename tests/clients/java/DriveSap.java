// SAP Cloud SDK for Java, OData V2: reads, change sets of one operation, and a failure with calls behind it.
// Usage: DriveSap BASE_URL (the gateway's origin) SERVICE_PATH.

import com.sap.cloud.sdk.datamodel.odata.client.ODataProtocol;
import com.sap.cloud.sdk.datamodel.odata.client.exception.ODataResponseException;
import com.sap.cloud.sdk.datamodel.odata.client.request.ODataEntityKey;
import com.sap.cloud.sdk.datamodel.odata.client.request.ODataRequestBatch;
import com.sap.cloud.sdk.datamodel.odata.client.request.ODataRequestCreate;
import com.sap.cloud.sdk.datamodel.odata.client.request.ODataRequestReadByKey;
import com.sap.cloud.sdk.datamodel.odata.client.request.ODataRequestResultMultipartGeneric;
import com.sap.cloud.sdk.datamodel.odata.client.request.ODataRequestUpdate;
import com.sap.cloud.sdk.datamodel.odata.client.request.UpdateStrategy;
import com.sap.cloud.sdk.cloudplatform.connectivity.DefaultHttpDestination;
import com.sap.cloud.sdk.cloudplatform.connectivity.HttpClientAccessor;
import com.sap.cloud.sdk.cloudplatform.connectivity.Header;
import org.apache.http.client.HttpClient;

public class DriveSap {
    static final ODataProtocol V2 = ODataProtocol.V2;
    static String path;

    static ODataEntityKey key(int id) {
        return new ODataEntityKey(V2).addKeyProperty("id", id);
    }

    static ODataRequestReadByKey read(int id) {
        return new ODataRequestReadByKey(path, "things", key(id), null, V2);
    }

    public static void main(String[] arguments) {
        path = arguments[1];
        HttpClient client = HttpClientAccessor.getHttpClient(
                DefaultHttpDestination.builder(arguments[0])
                        .header(new Header("Authorization", "Bearer outer-token"))
                        .build());
        ODataRequestReadByKey first = read(1);
        ODataRequestCreate create = new ODataRequestCreate(path, "things", "{\"id\":71,\"name\":\"gämma 日本\"}", V2);
        ODataRequestUpdate update = new ODataRequestUpdate(
                path, "things", key(1), "{\"name\":\"Größe ✓\"}", UpdateStrategy.MODIFY_WITH_PATCH, null, V2);
        ODataRequestReadByKey missing = read(404);
        ODataRequestReadByKey made = read(71);
        ODataRequestBatch batch = new ODataRequestBatch(path, V2).addReadByKey(first);
        batch.beginChangeset().addCreate(create).endChangeset();
        batch.beginChangeset().addUpdate(update).endChangeset();
        batch.addReadByKey(missing).addReadByKey(made);
        ODataRequestResultMultipartGeneric result = batch.execute(client);
        Object before = result.getResult(first).asMap().get("name");
        int created = result.getResult(create).getHttpResponse().getStatusLine().getStatusCode();
        int updated = result.getResult(update).getHttpResponse().getStatusLine().getStatusCode();
        int failed;
        try {
            result.getResult(missing).asMap();
            throw new AssertionError("no failure of a thing that is not there");
        } catch (ODataResponseException error) {
            failed = error.getHttpCode();
        }
        Object after = result.getResult(made).asMap().get("name");
        System.out.println(
                "{\"names\":[\"" + before + "\",\"" + after + "\"],\"statuses\":[" + created + "," + updated + "," + failed + "]}");
        System.exit(0);
    }
}
