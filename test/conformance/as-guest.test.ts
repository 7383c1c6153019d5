import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { t as tap, test } from 'tap';
import { buildIfChanged } from '../../cli/build/cache.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { jailMissing } from '../kit/worker-bench.js';
import { json, step } from './case.js';
import { openBench } from './kernel-bench.js';
import { MANIFESTS } from './manifests.js';

tap.setTimeout(240_000);

/** One call of each family that answers without anybody else, and what came of it. */
const SOURCE = `
import { Answer, Capsule } from "astrid/as/capsule";
import * as cron from "astrid/as/cron";
import * as fs from "astrid/as/fs";
import * as http from "astrid/as/http";
import * as ipc from "astrid/as/ipc";
import { Json } from "astrid/as/json";
import * as kv from "astrid/as/kv";
import { decodeText, encodeText } from "astrid/as/memory";
import * as net from "astrid/as/net";
import * as people from "astrid/as/people";
import * as process from "astrid/as/process";
import { Request } from "astrid/as/request";
import * as sys from "astrid/as/sys";

const capsule = new Capsule().interceptor("ask", (request: Request): Answer => {
  const seen = Json.object();
  fs.writeFile("cwd://from-as.txt", encodeText("written")).unwrap();
  seen.setText("fs", decodeText(fs.readFile("cwd://from-as.txt").unwrap()));
  kv.set("as", encodeText("kept")).unwrap();
  seen.setText("kv", decodeText(kv.get("as").unwrap()));
  const handle = ipc.subscribe("conform.v1.as").unwrap();
  ipc.publish("conform.v1.as", Json.ofText("heard")).unwrap();
  seen.set("ipc", ipc.poll(handle).unwrap());
  seen.setText("config", sys.config("GREETING").unwrap());
  seen.setNumber("clock", <f64>sys.now());
  const web = http.request(Json.object().setText("url", "http://127.0.0.1:9/"));
  seen.setText("http", web.error === null ? "" : web.error!.code);
  const stream = net.read("7");
  seen.setText("net", stream.error === null ? "" : stream.error!.code);
  seen.set("process", process.spawn("echo", ["hi"]).unwrap());
  seen.set("identity", people.resolveIdentity("test", "nobody").unwrap());
  seen.setText("uplink", people.registerUplink("as", "test", "chat").unwrap());
  seen.setBool("secret", people.hasSecret("absent").unwrap());
  cron.schedule("nightly", "0 3 * * *", Json.ofNumber(1)).unwrap();
  cron.cancel("nightly").unwrap();
  return Answer.goOnWith(seen);
});
export function astrid_hook_trigger(): i32 {
  return capsule.hook();
}
export function astrid_cron_trigger(): i32 {
  return 0;
}
`;

test('a guest compiled from AssemblyScript makes a call of each family and reads what the reference says', async (t) => {
  const noJail = await jailMissing();
  const name = 'as-guest';
  const head = MANIFESTS.full(name).replace('version = "1.0.0"', 'version = "1.0.0"\nabi = 3');
  const manifest = `${head}\n[[interceptor]]\nevent = "conform.v1.ask"\naction = "ask"\n`;
  const source = t.testdir({ 'Capsule.toml': manifest, assembly: { 'index.ts': SOURCE } });
  const { wasmFile } = await buildIfChanged(source, join(source, 'out'), { sdkDir: join(PACKAGE_ROOT, 'abi/sdk') });
  const guests = { [name]: { manifest, wasm: readFileSync(wasmFile) } };
  // The guest runs in the last tier of the list.
  const bench = await openBench(noJail === false ? ['process', 'jail'] : ['process'], { guests, lanes: [3] });
  t.teardown(() => bench.end());
  t.same(bench.kernel.problems, []);
  for (const lane of bench.lanes) {
    const [outputs] = await lane.send(step('astrid_trigger_hook', json({ hook: 'conform.v1.ask', payload: {} })));
    t.match(JSON.parse(String(outputs)), [
      {
        fs: 'written',
        kv: 'kept',
        ipc: { messages: [{ topic: 'conform.v1.as' }] },
        config: 'hello "you"',
        clock: Number,
        http: 'policy_denied',
        net: 'bad_handle',
        process: { stdout: 'hi\n', exit_code: 0 },
        identity: { found: false },
        uplink: /^[0-9a-f-]{36}$/,
        secret: false,
      },
    ]);
    await bench.processOf(name).restart();
  }
});
