import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { makeWasiShim } from '../../worker/wasi-shim.js';

const [SUCCESS, BADF, INVAL, NOSYS] = [0, 8, 28, 52];
const PAGE = 65_536;
/** Everything of preview 1, as its specification lists it. */
const ALL =
  `args_get args_sizes_get environ_get environ_sizes_get clock_res_get clock_time_get fd_advise fd_allocate fd_close fd_datasync
  fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size fd_filestat_set_times fd_pread
  fd_prestat_get fd_prestat_dir_name fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write
  path_create_directory path_filestat_get path_filestat_set_times path_link path_open path_readlink path_remove_directory
  path_rename path_symlink path_unlink_file poll_oneoff proc_exit proc_raise random_get sched_yield sock_accept sock_recv
  sock_send sock_shutdown`.split(/\s+/);

function openShim() {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const lines: string[] = [];
  const shim = makeWasiShim(ALL, {
    memory: () => memory,
    log: (level, message) => lines.push(`${level}: ${message}`),
    now: () => 1_234,
  });
  const call = (name: string, ...args: (number | bigint)[]) =>
    (shim[name] as unknown as (...given: typeof args) => number)(...args);
  const bytes = Buffer.from(memory.buffer);
  /** Texts at 1,024 and their list at 512, for fd_write. */
  const putList = (...texts: string[]) => {
    let at = 1024;
    for (const [index, text] of texts.entries()) {
      bytes.writeUInt32LE(at, 512 + index * 8);
      bytes.writeUInt32LE(bytes.write(text, at), 516 + index * 8);
      at += text.length;
    }
    return texts.length;
  };
  return { call, bytes, lines, putList };
}

test('files, directories and sockets do not exist for a guest: each of their calls says so', (t) => {
  const { call } = openShim();
  const none = /^(path_|sock_|fd_(?!write$|fdstat_get$))/;
  const asked = ALL.filter((name) => none.test(name));
  t.ok(asked.length > 30);
  for (const name of asked) {
    // An answer that is neither would be a file that is there.
    for (const descriptor of [0, 1, 2, 3, 4, -1])
      t.ok([BADF, NOSYS].includes(call(name, descriptor, 0, 0, 0, 0, 0, 0, 0, 0)), `${name} ${descriptor}`);
  }
  for (const descriptor of [0, 3, -1]) {
    t.equal(call('fd_fdstat_get', descriptor, 256), BADF);
    t.equal(call('fd_write', descriptor, 512, 0, 256), BADF);
  }
  t.equal(call('proc_raise', 9), NOSYS);
  t.end();
});

test('there are no arguments and no environment, and the guest is told so in its memory', (t) => {
  const { call, bytes } = openShim();
  for (const name of ['args_sizes_get', 'environ_sizes_get']) {
    bytes.fill(0xff, 256, 264);
    t.equal(call(name, 256, 260), SUCCESS);
    t.same([bytes.readUInt32LE(256), bytes.readUInt32LE(260)], [0, 0], name);
  }
  bytes.fill(0xaa, 256, 300);
  t.equal(call('args_get', 256, 260), SUCCESS);
  t.equal(call('environ_get', 256, 260), SUCCESS);
  t.ok(
    bytes.subarray(256, 300).every((byte) => byte === 0xaa),
    'nothing is written',
  );
  t.end();
});

test('what is written to stdout and stderr becomes lines of the log, joined and bounded', (t) => {
  const { call, bytes, lines, putList } = openShim();
  t.equal(call('fd_write', 1, 512, putList('hel', 'lo\n'), 256), SUCCESS);
  t.equal(bytes.readUInt32LE(256), 6, 'as many bytes as were given');
  t.equal(call('fd_write', 2, 512, putList('bad'), 256), SUCCESS);
  t.equal(lines.length, 2);
  t.match(lines[0], /: hello$/);
  t.match(lines[1], /: bad$/);
  // The same page a hundred times over: more than a line may hold.
  for (let index = 0; index < 100; index++) {
    bytes.writeUInt32LE(2048, 512 + index * 8);
    bytes.writeUInt32LE(PAGE - 2048, 516 + index * 8);
  }
  bytes.fill(0x61, 2048);
  t.equal(call('fd_write', 1, 512, 100, 256), SUCCESS);
  t.ok((lines[2] ?? '').length <= LIMITS.logMessageBytesMax + 100);
  t.end();
});

test('an address outside of memory is refused by every call that would read or write there', (t) => {
  const { call, bytes, lines } = openShim();
  const before = Buffer.from(bytes);
  for (const at of [PAGE - 3, PAGE, 2 ** 31 - 1, -1, -8]) {
    t.equal(call('clock_time_get', 0, 0n, at), INVAL, `clock_time_get ${at}`);
    t.equal(call('clock_res_get', 0, at), INVAL, `clock_res_get ${at}`);
    t.equal(call('random_get', at, 8), INVAL, `random_get ${at}`);
    t.equal(call('args_sizes_get', at, 0), INVAL, `args_sizes_get ${at}`);
    t.equal(call('environ_sizes_get', 0, at), INVAL, `environ_sizes_get ${at}`);
    t.equal(call('fd_fdstat_get', 1, at), INVAL, `fd_fdstat_get ${at}`);
    t.equal(call('fd_write', 1, at, 1, 0), INVAL, `fd_write list ${at}`);
    t.equal(call('fd_write', 1, 512, 0, at), INVAL, `fd_write count ${at}`);
    t.equal(call('poll_oneoff', at, 0, 1, 0), INVAL, `poll_oneoff ${at}`);
  }
  t.equal(call('random_get', 0, -1), INVAL, 'a length that is no length');
  t.equal(call('clock_time_get', 4, 0n, 256), INVAL, 'a clock that there is not');
  t.ok(bytes.equals(before), 'nothing was written');
  t.same(lines, []);
  t.end();
});

test('clocks and random bytes are real', (t) => {
  const { call, bytes } = openShim();
  t.equal(call('clock_time_get', 0, 0n, 256), SUCCESS);
  t.equal(bytes.readBigUInt64LE(256), 1_234_000_000n, 'the kernel decides what time it is for a guest');
  const read = () => {
    t.equal(call('clock_time_get', 1, 0n, 256), SUCCESS);
    return bytes.readBigUInt64LE(256);
  };
  const first = read();
  t.ok(read() >= first, 'this one never goes back');
  t.equal(call('random_get', 256, 64), SUCCESS);
  const one = Buffer.from(bytes.subarray(256, 320));
  t.equal(call('random_get', 256, 64), SUCCESS);
  t.notOk(one.equals(bytes.subarray(256, 320)));
  t.end();
});

test('a sleep until a moment lasts until the clock that it names shows it', (t) => {
  const { call, bytes } = openShim();
  const [SUBSCRIPTION, EVENT, COUNT, CLOCK] = [512, 768, 256, 264];
  const [DAY, MONOTONIC, ABSOLUTE] = [0, 1, 1];
  const read = (clock: number) => {
    t.equal(call('clock_time_get', clock, 0n, CLOCK), SUCCESS);
    return bytes.readBigUInt64LE(CLOCK);
  };
  const sleep = (clock: number, ns: bigint, flags: number) => {
    bytes.fill(0, SUBSCRIPTION, SUBSCRIPTION + 48);
    bytes.writeBigUInt64LE(7n, SUBSCRIPTION);
    bytes.writeUInt32LE(clock, SUBSCRIPTION + 16);
    bytes.writeBigUInt64LE(ns, SUBSCRIPTION + 24);
    bytes.writeUInt16LE(flags, SUBSCRIPTION + 40);
    t.equal(call('poll_oneoff', SUBSCRIPTION, EVENT, 1, COUNT), SUCCESS);
    t.same([bytes.readBigUInt64LE(EVENT), bytes.readUInt16LE(EVENT + 8), bytes.readUInt32LE(COUNT)], [7n, SUCCESS, 1]);
  };
  const until = read(MONOTONIC) + 20_000_000n;
  sleep(MONOTONIC, until, ABSOLUTE);
  t.ok(read(MONOTONIC) >= until);
  const began = read(MONOTONIC);
  sleep(MONOTONIC, 20_000_000n, 0);
  t.ok(read(MONOTONIC) >= began + 20_000_000n);
  // The time of day stands still here: one that has come needs no wait, whatever the other clock shows.
  sleep(DAY, 1_234_000_000n, ABSOLUTE);
  t.end();
});
