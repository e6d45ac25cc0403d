//! Makes the contract's Rust code from descriptors that rust_build.py puts beside this file: no protoc is needed here.

use std::error::Error;
use std::process::Command;
use std::{env, fs};

use prost::Message;
use prost_types::FileDescriptorSet;

const DESCRIPTORS: &str = "contract.bin";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={DESCRIPTORS}");
    let contract = FileDescriptorSet::decode(&*fs::read(DESCRIPTORS)?)?;
    // Bodies as Bytes: those of calls are parts of the message that was read, and go on to the upstream uncopied.
    tonic_prost_build::configure().bytes(".batchwire.v1").build_transport(false).compile_fds(contract)?;
    let compiler = Command::new(env::var("RUSTC")?).arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&compiler).split(' ').take(2).collect::<Vec<_>>().join(" ");
    println!("cargo:rustc-env=COMPILER={version}");
    Ok(())
}
