import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { SYSCALLS } from '../../abi/table.js';
import { buildIfChanged } from '../../cli/build/cache.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { jailMissing } from '../kit/worker-bench.js';
import { json, step, text, VISITOR_SAYS } from './case.js';
import { openBench } from './kernel-bench.js';
import { MANIFESTS } from './manifests.js';
import { sendVisitors } from './outside-world.js';

const UUID = /^[0-9a-f]{8}-/;
const heard = (data: string) => ({ messages: [{ topic: 'conform.v1.as', payload: { type: 'custom', data } }] });

/** What each call answers, as an AssemblyScript author reads it. */
const ANSWERS: Readonly<Record<string, unknown>> = {
  astrid_fs_exists: true,
  astrid_fs_mkdir: true,
  astrid_fs_readdir: ['a.txt'],
  astrid_fs_stat: 'written'.length,
  astrid_fs_unlink: true,
  astrid_read_file: 'written',
  astrid_write_file: true,
  astrid_ipc_publish: true,
  astrid_ipc_subscribe: true,
  astrid_ipc_unsubscribe: true,
  astrid_ipc_poll: heard('second'),
  astrid_ipc_recv: heard('first'),
  astrid_uplink_register: UUID,
  astrid_uplink_send: true,
  astrid_kv_get: 'kept',
  astrid_kv_set: true,
  astrid_kv_delete: true,
  astrid_kv_list_keys: ['as/one'],
  astrid_kv_clear_prefix: 1,
  astrid_http_request: { status: 200, body: 'pong' },
  astrid_http_stream_start: { status: 200, handle: '1' },
  astrid_http_stream_read: 'pong',
  astrid_http_stream_close: true,
  astrid_net_bind_unix: '',
  astrid_net_accept: '1',
  astrid_net_poll_accept: '2',
  astrid_net_read: `\0${VISITOR_SAYS}`,
  astrid_net_write: true,
  astrid_net_close_stream: true,
  astrid_identity_resolve: { found: true, user_id: UUID },
  astrid_identity_link: { ok: true, link: { method: 'test' } },
  astrid_identity_unlink: { ok: true, removed: true },
  astrid_identity_create_user: { ok: true, user_id: UUID },
  astrid_identity_list_links: { ok: true, links: [{ platform: 'as' }] },
  astrid_elicit: { ok: true },
  astrid_has_secret: true,
  astrid_signal_ready: true,
  // A hook that another capsule triggered came with no message.
  astrid_get_caller: {},
  astrid_get_config: 'hello "you"',
  astrid_get_interceptor_handles: [],
  astrid_spawn_host: { stdout: 'hi\n', exit_code: 0 },
  astrid_spawn_background_host: { id: Number },
  astrid_read_process_logs_host: { running: true },
  astrid_kill_process_host: { killed: true },
  astrid_request_approval: true,
  astrid_check_capsule_capability: true,
  astrid_trigger_hook: [{ n: 1 }],
  astrid_log: true,
  astrid_clock_ms: true,
  astrid_cron_schedule: true,
  astrid_cron_cancel: true,
};

test('a guest compiled from AssemblyScript makes every call, in each tier, and reads what it is for', async (t) => {
  const noJail = await jailMissing();
  const name = 'as-guest';
  const head = MANIFESTS.full(name).replace('version = "1.0.0"', 'version = "1.0.0"\nabi = 3');
  const manifest = `${head}\n[[interceptor]]\nevent = "conform.v1.ask"\naction = "ask"\n`;
  const assembly = readFileSync(join(PACKAGE_ROOT, 'test/fixtures/as-every-call/assembly/index.ts'), 'utf8');
  const source = t.testdir({ 'Capsule.toml': manifest, assembly: { 'index.ts': assembly } });
  const { wasmFile } = await buildIfChanged(source, join(source, 'out'), { sdkDir: join(PACKAGE_ROOT, 'abi/sdk') });
  const guest = { manifest, wasm: readFileSync(wasmFile) };
  for (const tier of noJail === false ? (['process', 'jail'] as const) : (['process'] as const)) {
    const bench = await openBench([tier], { guests: { [name]: guest }, lanes: [3] });
    try {
      t.same(bench.kernel.problems, []);
      const [lane] = bench.lanes;
      // The socket is there once a capsule asked for it.
      await lane!.send(step('astrid_net_bind_unix', text('/any')));
      const visitors = await sendVisitors(bench.home, 2);
      const payload = { url: `http://127.0.0.1:${bench.port}/`, peer: bench.processOf(`peer-${tier}-3`).sourceId };
      const [outputs] = await lane!.send(step('astrid_trigger_hook', json({ hook: 'conform.v1.ask', payload })));
      visitors.close();
      const asked = await bench.processOf(name).submit({
        exportName: 'astrid_install',
        input: Buffer.alloc(0),
        actor: { principal: 'default', attribution: 'verified', session: lane!.session },
        message: null,
        label: 'install',
        wallMs: 20_000,
      });
      const installed = asked.kind === 'done' ? asked.output.toString('utf8') : asked.fault.message;
      const [seen] = JSON.parse(String(outputs)) as Record<string, unknown>[];
      const all: Record<string, unknown> = { ...seen, ...JSON.parse(installed) };
      for (const { name: call } of SYSCALLS) t.match(all[call], ANSWERS[call], `${tier}: ${call}`);
      t.same(Object.keys(all).sort(), SYSCALLS.map((row) => row.name).sort(), `${tier}: every call, and each once`);
    } finally {
      await bench.end();
    }
  }
});
