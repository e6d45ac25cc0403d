// The entity `Thing` for the SAP Cloud SDK, written as its generator writes it: the SDK's client side of a service.

import common from "@sap-cloud-sdk/odata-common";
import v4 from "@sap-cloud-sdk/odata-v4";

const BASE_PATH = "/odata/v4/svc";

export class Thing extends v4.Entity {
  static _entityName = "things";
  static _defaultBasePath = BASE_PATH;
  static _keys = ["id"];
}

class ThingRequestBuilder extends common.RequestBuilder {
  getByKey(id) {
    return new v4.GetByKeyRequestBuilder(this.entityApi, { id });
  }
  getAll() {
    return new v4.GetAllRequestBuilder(this.entityApi);
  }
  create(entity) {
    return new v4.CreateRequestBuilder(this.entityApi, entity);
  }
  update(entity) {
    return new v4.UpdateRequestBuilder(this.entityApi, entity);
  }
  delete(id) {
    return new v4.DeleteRequestBuilder(this.entityApi, { id });
  }
}

class ThingApi {
  deSerializers = v4.defaultDeSerializers;
  entityConstructor = Thing;
  navigationPropertyFields = {};
  constructor() {
    const field = new common.FieldBuilder(Thing, this.deSerializers);
    this.schema = {
      ID: field.buildEdmTypeField("id", "Edm.Int32", false),
      NAME: field.buildEdmTypeField("name", "Edm.String", true),
      ALL_FIELDS: new common.AllFields("*", Thing),
    };
  }
  requestBuilder() {
    return new ThingRequestBuilder(this);
  }
  entityBuilder() {
    return common.entityBuilder(this);
  }
}

export const things = new ThingApi();
export const batch = (...requests) => new v4.ODataBatchRequestBuilder(BASE_PATH, requests);
export const changeset = (...requests) => new common.BatchChangeSet(requests);
