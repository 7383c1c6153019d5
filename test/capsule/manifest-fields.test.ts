import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';

const HEAD = '[package]\nname = "demo"\nversion = "1.0.0"\n';

/** What is wrong, the field's path, its line, and what the message says. */
type BadField = readonly [toml: string, field: string, line: number, says: RegExp];

/** Whole manifests. */
const WHOLE: readonly BadField[] = [
  ['', 'package', 0, /is missing, expected a table with name and version/],
  ['package = 3', 'package', 1, /expected a table with name and version; got 3/],
  ['[package]\nversion = "1.0.0"', 'package.name', 1, /is missing, expected 1 to 64 of a-z/],
  ['[package]\nname = "De_mo"\nversion = "1.0.0"', 'package.name', 2, /no - at either end; got "De_mo"/],
  ['[package]\nname = "-demo"\nversion = "1.0.0"', 'package.name', 2, /got "-demo"/],
  ['[package]\nname = "../demo"\nversion = "1.0.0"', 'package.name', 2, /got "..\/demo"/],
  ['[package]\nname = "demo"\nversion = "1.0"', 'package.version', 3, /full version such as "1.0.0"; got "1.0"/],
  ['[package]\nname = "demo"\nversion = "v1.0.0"', 'package.version', 3, /got "v1.0.0"/],
  ['[package]\nname = "demo"\nversion = 1', 'package.version', 3, /got 1/],
  ['abi = 3\n[package]\nname = "demo"\nversion = "1.0.0"\n', 'abi', 1, /expected inside \[package\]/],
  ['imports = 1\n[package]\nname = "demo"\nversion = "1.0.0"\n', 'imports', 1, /expected a table/],
  [
    'capabilities = []\n[package]\nname = "demo"\nversion = "1.0.0"\n',
    'capabilities',
    1,
    /expected a table; got a list of 0/,
  ],
];

/** What follows a correct `[package]` of three lines. */
const AFTER_HEAD: readonly BadField[] = [
  ['description = 1', 'package.description', 4, /expected a text; got 1/],
  ['authors = "me"', 'package.authors', 4, /expected a list of texts; got "me"/],
  ['keywords = [1]', 'package.keywords[0]', 4, /expected a text; got 1/],
  ['publish = "yes"', 'package.publish', 4, /expected true or false; got "yes"/],
  ['metadata = 1', 'package.metadata', 4, /expected a table/],
  ['astrid-version = "latest"', 'package.astrid-version', 4, /a version requirement such as/],
  ['astrid-version = "^9.0"', 'package.astrid-version', 4, /needs Astrid \^9.0, this system is 0.5.1/],
  ['abi = 4', 'package.abi', 4, /expected one of 1, 2, 3; got 4/],
  ['restart = "sometimes"', 'package.restart', 4, /one of "always", "on-failure", "never"/],
  ['[component]\nfile = "a.wasm"', 'component', 4, /each headed \[\[component\]\]; got a table/],
  ['[[component]]\nid = "a"', 'component[0].file', 4, /is missing, expected a path relative/],
  ['[[component]]\nfile = "a"\nentrypoint = "b"', 'component[0].entrypoint', 6, /another name of file/],
  ['[[component]]\nfile = "/etc/passwd"', 'component[0].file', 5, /without a leading "\/"/],
  ['[[component]]\nfile = "a/../../b.wasm"', 'component[0].file', 5, /without "\.\."/],
  ['[[component]]\nfile = "a.wasm"\ntype = "dll"', 'component[0].type', 6, /one of "executable", "library"/],
  ['[[component]]\nfile = "a.wasm"\nlink = 1', 'component[0].link', 6, /a list of texts/],
  ['[[component]]\nfile = "a.wasm"\nhash = 1', 'component[0].hash', 6, /a text/],
  [
    '[[component]]\nfile = "a.wasm"\ncapabilities = { net = 1 }',
    'component[0].capabilities.net',
    6,
    /a list of patterns/,
  ],
  ['[imports]\nllm = "1.0"', 'imports.llm', 5, /"namespace:interface"/],
  ['[imports.astrid]\nllm = "newest"', 'imports.astrid.llm.version', 5, /requirement such as "\^1.0"; got "newest"/],
  ['[imports.astrid]\nllm = { version = "1", optional = "no" }', 'imports.astrid.llm.optional', 5, /true or false/],
  ['[imports.Astrid]\nllm = "1"', 'imports.Astrid.llm', 5, /an identifier/],
  ['[imports]\n"astrid:llm" = "1"\n[imports.astrid]\nllm = "1"', 'imports.astrid.llm', 7, /astrid:llm is named twice/],
  ['[exports.astrid]\nllm = "^1.0"', 'exports.astrid.llm.version', 5, /a full version such as "1.0.0"; got "\^1.0"/],
  ['[exports]\n"a:" = "1.0.0"', 'exports."a:"', 5, /an identifier/],
  ['[capabilities]\nfs_read = "*"', 'capabilities.fs_read', 5, /a list of patterns; got "\*"/],
  ['[capabilities]\nfs_write = "*"', 'capabilities.fs_write', 5, /a list of patterns; got "\*"/],
  ['[capabilities]\nkv = "*"', 'capabilities.kv', 5, /a list of patterns; got "\*"/],
  ['[capabilities]\nnet = "*"', 'capabilities.net', 5, /a list of patterns; got "\*"/],
  ['[capabilities]\nnet_bind = "*"', 'capabilities.net_bind', 5, /a list of patterns; got "\*"/],
  ['[capabilities]\nhost_process = "*"', 'capabilities.host_process', 5, /a list of patterns; got "\*"/],
  ['[capabilities]\nfs_read = [""]', 'capabilities.fs_read[0]', 5, /a pattern; got ""/],
  ['[capabilities]\nfs_read = ["a\\u0000b"]', 'capabilities.fs_read[0]', 5, /control characters; got "a\\u\{0\}b"/],
  ['[capabilities]\nipc_publish = ["a..b"]', 'capabilities.ipc_publish[0]', 5, /a topic pattern.*; got "a..b"/],
  ['[capabilities]\nipc_subscribe = ["a.b."]', 'capabilities.ipc_subscribe[0]', 5, /a topic pattern/],
  ['[capabilities]\nidentity = ["root"]', 'capabilities.identity[0]', 5, /"resolve", "link", "admin"; got "root"/],
  ['[capabilities]\nuplink = "true"', 'capabilities.uplink', 5, /true or false/],
  ['[capabilities]\nallow_prompt_injection = 1', 'capabilities.allow_prompt_injection', 5, /true or false/],
  ['[capabilities]\nuplink = true\n[imports.a]\nb = "1"', 'imports', 6, /must not import anything/],
  ['[env]\nKEY = "x"', 'env.KEY', 5, /a table such as \{ type = "string" \}; got "x"/],
  ['[env]\nKEY = { request = "x" }', 'env.KEY.type', 5, /is missing, expected one of "string", "secret", "array"/],
  ['[env]\nKEY = { type = "int" }', 'env.KEY.type', 5, /one of "string", "secret", "array"; got "int"/],
  ['[env]\n"9 lives" = { type = "string" }', 'env."9 lives"', 5, /a name of 1 to 128 letters/],
  ['[env]\nKEY = { type = "string", default = { a = 1 } }', 'env.KEY.default', 5, /a text or a list of texts; got a/],
  ['[env]\nKEY = { type = "string", enum_values = "a" }', 'env.KEY.enum_values', 5, /a list of texts/],
  ['[env]\nKEY = { type = "string", request = 1 }', 'env.KEY.request', 5, /expected a text; got 1/],
  ['[env]\nKEY = { type = "string", description = 1 }', 'env.KEY.description', 5, /expected a text; got 1/],
  ['[env]\nKEY = { type = "string", placeholder = 1 }', 'env.KEY.placeholder', 5, /expected a text; got 1/],
  ['[publish]\n"a..b" = "x"', 'publish."a..b"', 5, /a topic pattern/],
  ['[publish]\n"a.b" = 1', 'publish."a.b"', 5, /a table such as/],
  ['[publish]\n"a.b" = { fanout = 1 }', 'publish."a.b".fanout', 5, /true or false/],
  ['[publish]\n"a.b" = { wit = "x", tag = "1", rev = "2" }', 'publish."a.b"', 5, /at most one of version, tag,/],
  ['[subscribe]\n"a b" = "x"', 'subscribe."a b"', 5, /a topic pattern/],
  ['[subscribe]\n"a.b" = { handler = "" }', 'subscribe."a.b".handler', 5, /the name of an action/],
  [
    '[subscribe]\n"a.b" = { handler = "x", priority = -1 }',
    'subscribe."a.b".priority',
    5,
    /from 0 to 4294967295; got -1/,
  ],
  ['[subscribe]\n"a.b" = { handler = "x", fail = "shut" }', 'subscribe."a.b".fail', 5, /one of "open", "closed"/],
  [
    '[[interceptor]]\nevent = "a.b"\naction = "x"\n[[interceptor]]\naction = "y"',
    'interceptor[1].event',
    7,
    /is missing, expected a topic pattern/,
  ],
  ['[[interceptor]]\nevent = "a.b"', 'interceptor[0].action', 4, /is missing, expected the name of an action/],
  ['[[interceptor]]\nevent = "a.b"\naction = "x"\npriority = 1.5', 'interceptor[0].priority', 7, /a whole number/],
  [
    '[[interceptor]]\nevent = "a.b"\naction = "x"\nfail = 0',
    'interceptor[0].fail',
    7,
    /one of "open", "closed"; got 0/,
  ],
  ['[[command]]\nname = "/go"', 'command[0].name', 5, /a command name without "\/"; got "\/go"/],
  ['[[command]]\nname = "go"\nfile = "../x"', 'command[0].file', 6, /a path relative/],
  ['[[command]]\nname = "go"\ndescription = []', 'command[0].description', 6, /a text/],
  [
    '[[uplink]]\nname = "a"\nplatform = "b"\nprofile = "human"',
    'uplink[0].profile',
    7,
    /one of "chat", .*"bridge"; got "human"/,
  ],
  ['[[uplink]]\nplatform = "b"\nprofile = "chat"', 'uplink[0].name', 4, /is missing/],
  ['[[uplink]]\nname = "a"\nprofile = "chat"', 'uplink[0].platform', 4, /is missing/],
  ['[[topic]]\nname = "a.*"\ndirection = "publish"', 'topic[0].name', 5, /a topic name of letters.*; got "a.\*"/],
  ['[[topic]]\nname = "a"\ndirection = "both"', 'topic[0].direction', 6, /one of "publish", "subscribe"/],
  ['[[topic]]\nname = "a"\ndirection = "publish"\nschema = "/s"', 'topic[0].schema', 7, /a path relative/],
  [
    '[[topic]]\nname = "a"\ndirection = "publish"\n[[topic]]\nname = "a"\ndirection = "publish"',
    'topic[1].name',
    8,
    /declared twice for publish/,
  ],
  ['[limits]\nmemory_pages = 1025', 'limits.memory_pages', 5, /a whole number from 1 to 1024; got 1025/],
  ['[limits]\nwall_ms = 0', 'limits.wall_ms', 5, /a whole number from 1 to 300000/],
];

function faultOf(toml: string): Fault {
  try {
    parseManifest(toml);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error('expected a Fault');
}

const all = [...WHOLE, ...AFTER_HEAD.map(([toml, ...rest]) => [HEAD + toml, ...rest] as const)];
for (const [toml, field, line, says] of all) {
  test(`manifest, a bad ${field} (${JSON.stringify(toml.replace(HEAD, ''))}), is one error with field and line`, (t) => {
    const fault = faultOf(toml);
    t.equal(fault.code, 'bad_manifest');
    t.equal(fault.field, field);
    t.match(fault.message, says);
    t.ok(fault.message.startsWith(line === 0 ? 'Capsule.toml: ' : `Capsule.toml line ${line}: `), fault.message);
    t.end();
  });
}
