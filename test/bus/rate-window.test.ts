import { test } from 'tap';
import { RateWindow } from '../../bus/rate-window.js';

test('rate window, a key within its allowance, may spend it in any parts', async (t) => {
  const rate = new RateWindow(100, 1000);
  t.ok(rate.take('a', 60, 0));
  t.ok(rate.take('a', 40, 999));
  t.notOk(rate.take('a', 1, 999));
  t.ok(rate.take('a', 0, 999));
});

test('rate window, the window is over, opens a new one', async (t) => {
  const rate = new RateWindow(100, 1000);
  rate.take('a', 100, 5);
  t.notOk(rate.take('a', 1, 1004));
  t.ok(rate.take('a', 100, 1005));
});

test('rate window, what is refused, is not charged', async (t) => {
  const rate = new RateWindow(100, 1000);
  t.notOk(rate.take('a', 101, 0));
  t.ok(rate.take('a', 60, 0));
  t.notOk(rate.take('a', 50, 0));
  t.ok(rate.take('a', 40, 0));
});

test('rate window, one key used up, leaves the others alone', async (t) => {
  const rate = new RateWindow(100, 1000);
  rate.take('a', 100, 0);
  t.notOk(rate.take('a', 1, 0));
  t.ok(rate.take('b', 100, 0));
});

test('rate window, the clock set back, does not lock a key out', async (t) => {
  const rate = new RateWindow(100, 1000);
  rate.take('a', 100, 1_000_000);
  t.ok(rate.take('a', 100, 10));
});

test('rate window, very many keys, forgets those whose window is over and no live one', async (t) => {
  const rate = new RateWindow(100, 1000);
  for (let i = 0; i < 5_000; i++) rate.take(`old${i}`, 100, 0);
  rate.take('live', 100, 1500);
  for (let i = 0; i < 20_000; i++) rate.take(`new${i}`, 100, 2000);
  t.notOk(rate.take('live', 1, 2000));
  t.ok(rate.take('live', 100, 2500));
});

test('rate window, without parameters, allows 10 MiB each second', async (t) => {
  const rate = new RateWindow();
  t.ok(rate.take('a', 10 * 1024 * 1024, 0));
  t.notOk(rate.take('a', 1, 999));
  t.ok(rate.take('a', 1, 1000));
});
