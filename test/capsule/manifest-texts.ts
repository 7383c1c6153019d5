/** What every manifest begins with. */
export const HEAD = '[package]\nname = "demo"\nversion = "1.0.0"\n';

/** Every section and form that the reader knows, of both generations, in one file. */
export const BOTH_STYLES = `${HEAD}
abi = 3
restart = "always"
astrid-version = ">=0.5.0"
[[component]]
id = "main"
entrypoint = "demo.wasm"
capabilities = { fs_read = ["cwd://", "home://"], net = ["api.example.org"] }
[imports]
"astrid:llm" = "1.0"
"astrid:spark" = { version = "^1.2", optional = true }
[imports.other]
session = "~1.4"
[exports.astrid]
tool = "1.0.0"
[exports]
"astrid:route" = { version = "2.1.0" }
[capabilities]
fs_read = ["cwd://"]
ipc_publish = ["a.v1.*"]
ipc_subscribe = ["b.v1.x"]
identity = ["resolve"]
[publish]
"a.v1.*" = { wit = "opaque" }
"c.v1.y" = "@x/wit/y"
[subscribe]
"d.v1.z" = { wit = "opaque", handler = "on_z", priority = 5, fail = "closed" }
"e.v1.w" = { wit = "opaque" }
[[interceptor]]
event = "d.v1.z"
action = "on_z"
[[interceptor]]
event = "f.v1.*"
action = "on_f"
priority = 1
[env]
key = { type = "secret", request = "Key?" }
model = { type = "string", default = "m-1", enum_values = ["m-1", "m-2"] }
ids = { type = "array", default = ["1"] }
[[command]]
name = "go"
[[uplink]]
name = "chat"
platform = "irc"
profile = "chat"
[[topic]]
name = "a.v1.b"
direction = "publish"
schema = "schemas/b.json"
[limits]
memory_pages = 256
wall_ms = 1000
`;
