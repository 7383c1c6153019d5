/** A capsule that asks when it is installed, keeps a timer, runs one command, asks one local service and has a slash command. */
import { defineCapsule } from 'astrid/sdk';
import * as elicit from 'astrid/sdk/elicit';
import * as http from 'astrid/sdk/http';
import * as kv from 'astrid/sdk/kv';
import * as process from 'astrid/sdk/process';
import { s } from 'astrid/sdk/schema';
import { tool } from 'astrid/sdk/tool';

const status = tool({
  name: 'desk_status',
  description: 'What git says of the workspace.',
  mutable: false,
  input: s.object({}),
  handler: () => process.spawn('git', ['status', '--short', '--branch']),
});
const fetchIt = tool({
  name: 'desk_fetch',
  description: 'Asks the local service.',
  mutable: false,
  input: s.object({ path: s.string('path of the page') }),
  handler: ({ path }) => http.request(`http://localhost:8080/${path}`).body,
});

defineCapsule({
  tools: [status, fetchIt],
  interceptors: { tick: () => kv.setJson('ticks', (kv.getJson<number>('ticks') ?? 0) + 1) },
  commands: {
    desk: () => ({
      name: kv.getJson<string>('name'),
      color: kv.getJson<string>('color'),
      ticks: kv.getJson<number>('ticks') ?? 0,
    }),
  },
  install() {
    kv.setJson('name', elicit.text({ key: 'name', description: 'What is the desk called?', default: 'desk' }));
    elicit.secret({ key: 'api_token', description: 'Token of the service' });
    kv.setJson('color', elicit.select({ key: 'color', description: 'Which colour?', options: ['red', 'blue'] }));
  },
});
