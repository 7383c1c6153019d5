import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { CommandArguments } from '../../cli/context.js';
import { answerQuestions, readPresets, unaskedPresets } from '../../cli/elicit-prompt.js';
import { makeFakeIo } from '../kit/fake-io.js';
import { runCli } from '../kit/run-cli.js';
import { COPY, callAndSay, startKernel, wat } from './kernel-kit.js';

const ENV =
  '[env]\nhost = { type = "string" }\nmode = { type = "string", enum_values = ["a", "b"] }\ntoken = { type = "secret" }\n';
const TEXT = '{"type":"text","key":"city","default":"Bonn"}';
const SECRET = '{"type":"secret","key":"token"}';
const guest = {
  name: 'mail',
  manifest: ENV,
  calls: { astrid_elicit: { params: 1, result: true }, astrid_get_config: { params: 1, result: true } },
  data: { 100: wat(TEXT), 300: wat(SECRET) },
  more: COPY,
  exports: {
    astrid_install: `${callAndSay('astrid_elicit', 100, TEXT)} ${callAndSay('astrid_elicit', 300, SECRET)} (i32.const 0)`,
  },
};
const install = { principal: 'default', capsule: 'mail', kind: 'install' } as const;

test('capsule config and secret on the command line, show and change settings, and never show a secret', async (t) => {
  const running = await startKernel([guest]);
  t.teardown(running.end);
  const cli = (line: string, options: object = {}) => runCli(line.split(' '), running.home, options);
  t.match(await cli('capsule config mail'), { exitCode: 0, out: /host[^\n]*unset[\s\S]*token +secret +not set/ });
  t.match(await cli('capsule config mail --set host=h.example --set mode=b'), { exitCode: 0, out: /h\.example/ });
  t.match(await cli('capsule config mail --set mode=c'), { exitCode: 2, err: /one of "a", "b"/ });
  const wrong = await cli('capsule config mail --set token=canary');
  t.match(wrong, { exitCode: 2, err: /is a secret/ });
  t.notMatch(wrong.err, /canary/);
  t.match(await cli('capsule secret mail token', { stdin: 'canary\n' }), { exitCode: 0, out: /token of mail is set/ });
  t.match(await cli('capsule secret mail token', { stdin: '' }), { exitCode: 2, err: /nothing on standard input/ });
  const shown = await cli('capsule config mail --unset host --json');
  t.match(JSON.parse(shown.out), [
    { name: 'host', value: null },
    { name: 'mode', value: 'b' },
    { name: 'token', value: null, source: 'value' },
  ]);
  t.notMatch(shown.out, /canary/);
  t.match(await cli('capsule secret mail token --remove'), { exitCode: 0, out: /is removed/ });
  t.match(await cli('capsule secret mail bogus', { stdin: 'canary\n' }), {
    exitCode: 1,
    err: 'astrid: bogus: mail has no such secret; it has token (not_found)\n',
  });
  t.match(await cli('capsule secret mail bogus --remove'), { exitCode: 1, err: /no such secret/ });
  t.match(await cli('capsule secret mail host', { stdin: 'x\n' }), { exitCode: 2, err: /is no secret/ });
  t.match(await cli('capsule secret mail token --remove'), { exitCode: 0, out: /token of mail was not set/ });
  const unknown = {
    exitCode: 1,
    err: 'astrid: no capsule nobody is installed; see: astrid capsule list (not_found)\n',
  };
  t.match(await cli('capsule config nobody'), unknown);
  t.match(await cli('capsule secret nobody token', { stdin: '' }), unknown, 'before what is wrong with the value');
});

test('questions of an install hook, without a terminal, are answered beforehand or cancelled at once with the way to answer', async (t) => {
  const running = await startKernel([guest]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  const io = makeFakeIo();
  const context = { io, homePath: running.home, json: false };
  const file = join(running.home, 'etc/token.txt');
  writeFileSync(file, 'from file\n', { mode: 0o600 });
  let presets = readPresets(new CommandArguments({}));
  const run = (values: Record<string, string[]>) => {
    presets = readPresets(new CommandArguments(values));
    return answerQuestions(context, client, { capsule: 'mail', presets }, () =>
      running.kernel.lifecycle.runLifecycle(install),
    );
  };
  const logs = async () => {
    const lines: string[] = [];
    for await (const row of await client.stream('logs', { capsule: 'mail' }))
      lines.push((row as { message: string }).message);
    return lines;
  };
  await run({});
  t.match(
    (await logs()).join('\n'),
    /city: there is no terminal.*--set city=VALUE[\s\S]*token.*--secret-file token=PATH/,
  );
  await run({ set: ['city=Ulm', 'token=canary'], 'secret-file': [`token=${file}`] });
  t.same(unaskedPresets(presets), []);
  const after = (await logs()).slice(-6).join('\n');
  t.match(after, /"value":"Ulm"[\s\S]*"ok":true/);
  t.notMatch(after, /canary|from file/);
  await run({ set: ['city=Ulm', 'ctiy=Ulm'], 'secret-file': [`tokne=${file}`] });
  t.same(unaskedPresets(presets), ['--set ctiy', '--secret-file tokne'], 'nobody asked for these');
  for (const [option, form] of [
    ['set', 'KEY=VALUE'],
    ['secret-file', 'KEY=PATH'],
  ] as const) {
    const wrong = new CommandArguments({ [option]: ['canary'] });
    t.throws(() => readPresets(wrong), { message: `--${option}: expected ${form}` });
  }
});

test('questions of an install hook, on a terminal, are prompted for; a secret is not shown as it is typed', async (t) => {
  const running = await startKernel([guest]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  const io = makeFakeIo({ tty: true });
  const context = { io, homePath: running.home, json: false };
  const presets = readPresets(new CommandArguments({}));
  const done = answerQuestions(context, client, { capsule: 'mail', presets }, () =>
    running.kernel.lifecycle.runLifecycle(install),
  );
  await io.errText.until('asks for city');
  await io.errText.until('> ');
  io.type('Ulmm\x7f\r');
  await io.errText.until('(hidden) > ');
  io.type('hunter2\r');
  t.same(await done, { kind: 'done' });
  t.match(io.outText.text, /^Ulmm\x08 \x08$/);
  t.notMatch(`${io.outText.text}${io.errText.text}`, /hunter/);
  t.equal(io.isRaw(), false);
});
