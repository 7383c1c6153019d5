import { FakeSupervisor } from './fake-supervisor.js';

/**
 * A fake supervisor as a process of its own, started as the real one is: `--home HOME`. FAKE_SUPERVISOR says what it
 * does: `serve` (default), `die` (a log line with a code, then exit 1), `hang` (never ready), `lock` (as if somebody
 * else's start had won).
 */
const home = process.argv[process.argv.indexOf('--home') + 1];
if (home === undefined) throw new Error('--home HOME');
const how = process.env['FAKE_SUPERVISOR'] ?? 'serve';

function loseStart(): never {
  process.stderr.write('{"level":"fatal","code":"already_running","msg":"a supervisor is running"}\n');
  process.exit(1);
}

if (how === 'die') {
  process.stderr.write('{"level":"info","msg":"starting"}\n');
  process.stderr.write('{"level":"fatal","code":"bad_config","msg":"etc/config.toml\u001b[2K, line 3"}\n');
  process.exit(1);
} else if (how === 'lock') {
  loseStart();
} else if (how === 'hang') {
  process.stdout.write(`pid ${process.pid}\n`);
  setInterval(() => {}, 1_000);
} else {
  const fake: FakeSupervisor = await FakeSupervisor.start(
    home,
    {
      stop: () => {
        setImmediate(() => void fake.stop().then(() => process.exit(0)));
        return null;
      },
      'bus.publish': (params) => {
        const { text } = params['payload'] as { readonly text: string };
        setImmediate(() => fake.finishTurn(`echo ${text}`));
        return null;
      },
    },
    { pid: process.pid },
  ).catch(loseStart);
  process.stdout.write('serving\n');
}
