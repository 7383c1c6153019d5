import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { renderSdkPage, unplacedModules } from './sdk-page.js';

test('docs/sdk.md, the committed page, is what the sources of the SDK say today', async (t) => {
  const committed = readFileSync(join(PACKAGE_ROOT, 'docs/sdk.md'), 'utf8');
  t.equal(committed, renderSdkPage(), 'else: npm run docs');
});

test('docs/sdk.md, every module of the SDK, is told or left out on purpose', async (t) => {
  t.same(unplacedModules(), []);
});

test('docs/sdk.md, a function, a renamed one, an overload, a member of the schemas and a method, has its signature', async (t) => {
  const page = renderSdkPage();
  for (const row of [
    '| `set(key: string, value: string \\| Uint8Array): void` |',
    '| `delete(key: string): void` |',
    '| `get(name: string, fallback: string): string` |',
    '| `s.integer(description?: string, bounds: NumberBounds = {})` |',
    '| `Subscription.recv(timeoutMs: number): Envelope` |',
    '| `tool<T>(definition: ToolDefinition<T>): Tool` | Declares a tool. |',
  ])
    t.ok(page.includes(row), row);
});
