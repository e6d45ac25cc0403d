namespace batchwire.test;

entity Books {
  key ID    : Integer;
      title : String(100) @mandatory;
      stock : Integer     @assert.range: [0, 1000];
      price : Decimal(20, 10);
      cover : LargeBinary @Core.MediaType: 'application/octet-stream';
}

entity Orders {
  key ID     : Integer;
      amount : Integer @assert.range: [1, 100];
      book   : Association to Books;
}
