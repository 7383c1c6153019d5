//! The notebook as a capsule of the 0.4 line had it: tools through `astrid_tool_call`, configuration in JSON quotes.

use astrid_sdk::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub struct Notes {
    texts: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct AddArgs {
    text: String,
}

#[capsule]
impl Notes {
    #[astrid::tool("old_note_add")]
    fn add(&mut self, args: AddArgs) -> Result<String, SysError> {
        self.texts.push(args.text);
        Ok(format!("{} notes", self.texts.len()))
    }

    #[astrid::tool("old_note_where")]
    fn place(&mut self) -> Result<String, SysError> {
        let quoted = env::var("GREETING")?;
        Ok(serde_json::from_str::<String>(&quoted)?)
    }

    #[astrid::command("old-notes")]
    fn command(&mut self) -> Result<String, SysError> {
        Ok(format!("{} notes", self.texts.len()))
    }

    #[astrid::interceptor("nothing")]
    fn nothing(&mut self) -> Result<(), SysError> {
        Ok(())
    }
}
