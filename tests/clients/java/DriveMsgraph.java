// microsoft-graph-core: one JSON batch with reads, a create, a change, a call that waits for another, and failures.
// The change has its content type twice, as the library adds one to that of its user. Usage: DriveMsgraph BASE_URL
// (the gateway's origin with /v1.0).

import com.microsoft.graph.core.content.BatchRequestContent;
import com.microsoft.graph.core.content.BatchResponseContent;
import com.microsoft.graph.core.models.BatchRequestStep;
import com.microsoft.graph.core.requests.BaseGraphRequestAdapter;
import com.microsoft.graph.core.requests.BatchRequestBuilder;
import com.microsoft.kiota.authentication.AuthenticationProvider;
import com.microsoft.kiota.RequestInformation;
import com.microsoft.kiota.HttpMethod;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import okhttp3.MediaType;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

public class DriveMsgraph {
    static RequestBody json(String text) {
        return RequestBody.create(text.getBytes(StandardCharsets.UTF_8), MediaType.get("application/json"));
    }

    static Request.Builder to(String url) {
        return new Request.Builder().url(url);
    }

    static String body(BatchResponseContent answer, String id) throws Exception {
        Response response = answer.getResponseById(id);
        return response.body() == null ? "" : response.body().string();
    }

    public static void main(String[] arguments) throws Exception {
        String base = arguments[0];
        AuthenticationProvider token = (request, more) -> request.headers.add("Authorization", "Bearer outer-token");
        BaseGraphRequestAdapter adapter = new BaseGraphRequestAdapter(token, base);
        BatchRequestContent batch = new BatchRequestContent(adapter, new ArrayList<>());
        String read = batch.addBatchRequestStep(to(base + "/things/1").build());
        String missing = batch.addBatchRequestStep(to(base + "/things/404").build());
        String made = batch.addBatchRequestStep(
                to(base + "/things").post(json("{\"id\":71,\"name\":\"gämma 日本\"}")).build());
        batch.addBatchRequestStep(new BatchRequestStep("after", to(base + "/things/71").build(), List.of(made)));
        batch.addBatchRequestStep(new BatchRequestStep("dep", to(base + "/things/2").build(), List.of(missing)));
        RequestInformation change = new RequestInformation();
        change.httpMethod = HttpMethod.PATCH;
        change.setUri(URI.create(base + "/things/1"));
        change.headers.add("Content-Type", "application/json");
        change.setStreamContent(
                new ByteArrayInputStream("{\"name\":\"Größe ✓\"}".getBytes(StandardCharsets.UTF_8)), "application/json");
        String changed = batch.addBatchRequestStep(change);

        BatchResponseContent answer = new BatchRequestBuilder(adapter).post(batch, null);
        Map<String, Integer> statuses = new HashMap<>(answer.getResponsesStatusCode());
        if (!body(answer, read).contains("alpha") || !body(answer, "after").contains("gämma 日本")) {
            throw new AssertionError("a read gave something else");
        }
        StringBuilder said = new StringBuilder();
        for (String id : List.of(read, missing, made, "after", "dep", changed)) {
            said.append(said.length() == 0 ? "" : ",").append(statuses.get(id));
        }
        System.out.println("{\"statuses\":[" + said + "]}");
        System.exit(0);
    }
}
