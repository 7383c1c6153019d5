//! A run loop: it hears prompts by itself, answers each, and counts them in a store that survives it.

use astrid_sdk::prelude::*;
use serde_json::{Value, json};

#[derive(Default)]
pub struct Ticker;

#[capsule]
impl Ticker {
    #[astrid::run]
    fn run(&self) -> Result<(), SysError> {
        let bindings = interceptors::bindings()?;
        let prompts = ipc::subscribe("user.v1.prompt")?;
        log::info(format!("{} bindings", bindings.len()))?;
        runtime::signal_ready()?;
        loop {
            let envelope: Value = serde_json::from_slice(&ipc::recv_bytes(&prompts, 60_000)?)?;
            for message in envelope["messages"].as_array().into_iter().flatten() {
                self.answer(message)?;
            }
        }
    }

    // Not on the notes: in 0.5.3 a capsule with state does not compile with this attribute.
    #[astrid::upgrade]
    fn upgrade(&self, prev_version: &str) -> Result<(), SysError> {
        log::info(format!("upgraded from {prev_version}"))
    }
}

impl Ticker {
    fn answer(&self, message: &Value) -> Result<(), SysError> {
        let before = kv::get_bytes("count")?;
        // Little-endian: its first byte is often 0 or 1, which a guest without the status byte would misread.
        let count = before.try_into().map_or(0, u64::from_le_bytes) + 1;
        kv::set_bytes("count", &count.to_le_bytes())?;
        let session = &message["payload"]["session_id"];
        let text = format!("tick {count}: {}", message["payload"]["text"].as_str().unwrap_or(""));
        ipc::publish_json(
            "agent.v1.response",
            &json!({ "type": "agent_response", "text": text, "is_final": true, "session_id": session }),
        )
    }
}
