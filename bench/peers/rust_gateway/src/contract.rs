//! The generated code of the contract, in the modules that it expects around it.

#![allow(clippy::all)]

pub mod batchwire {
    pub mod v1 {
        tonic::include_proto!("batchwire.v1");
    }
}

pub mod google {
    pub mod api {
        tonic::include_proto!("google.api");
    }
}
