//! A notebook: two tools over state that the kernel keeps, and an install hook. Written against upstream's published SDK alone.

use astrid_sdk::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub struct Notes {
    texts: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct AddArgs {
    /// What to write down.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct SaveArgs {
    /// A path in the workspace.
    path: String,
}

/// Notes that outlive the conversation.
#[capsule]
impl Notes {
    /// Writes a note down and says how many there are.
    #[astrid::tool("note_add", mutable)]
    fn add(&mut self, args: AddArgs) -> Result<String, SysError> {
        self.texts.push(args.text);
        Ok(format!("{} notes", self.texts.len()))
    }

    /// Lists all notes.
    #[astrid::tool("note_list")]
    fn list(&mut self) -> Result<Vec<String>, SysError> {
        Ok(self.texts.clone())
    }

    /// Writes all notes to a file, unless it is there already.
    #[astrid::tool("note_save", mutable)]
    fn save(&mut self, args: SaveArgs) -> Result<String, SysError> {
        if fs::exists(&args.path)? {
            return Err(SysError::ApiError(format!("{} is there already", args.path)));
        }
        fs::write(&args.path, self.texts.join("\n"))?;
        let saved = fs::read_to_string(&args.path)?;
        Ok(format!("{} bytes, greeting {}", saved.len(), env::var("GREETING")?))
    }

    /// Reads a file that need not be there: the host's error is a value here, not the end.
    #[astrid::tool("note_read")]
    fn read(&mut self, args: SaveArgs) -> Result<String, SysError> {
        fs::read_to_string(&args.path)
    }

    #[astrid::command("notes")]
    fn command(&mut self) -> Result<String, SysError> {
        Ok(format!("{} notes", self.texts.len()))
    }

    #[astrid::install]
    fn install(&self) -> Result<(), SysError> {
        kv::set_bytes("installed", b"yes")?;
        log::info("notes are installed")
    }
}
