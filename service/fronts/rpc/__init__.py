"""BatchService over gRPC, gRPC-Web and Connect: from messages to a batch, and from an error to a status."""
