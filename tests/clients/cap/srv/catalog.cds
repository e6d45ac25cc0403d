using { batchwire.test as db } from '../db/schema';

@path: '/odata/v4/catalog'
service Catalog @(requires: 'any') {
  entity Books  as projection on db.Books;
  entity Orders as projection on db.Orders;
}
