import { defineCapsule } from 'astrid/sdk';
import { on, proceed } from 'astrid/sdk/interceptor';
import * as ipc from 'astrid/sdk/ipc';
import { llmRequestSchema, type Provider, type StreamEvent } from 'astrid/sdk/llm';
import { s } from 'astrid/sdk/schema';
import { decide } from './decide.js';
import { streamEvents } from './stream.js';

/**
 * The provider that is always there: deterministic, offline, and honest about being no language model. It speaks the
 * same `llm.v1.*` messages as real providers, so everything around it can be tried without a key.
 */
const STREAM_TOPIC = 'llm.v1.stream.offline';

const ENTRY: Provider = {
  id: 'offline',
  description: 'Built-in rule-based provider; no language model, no network',
  request_topic: 'llm.v1.request.generate.offline',
  stream_topic: STREAM_TOPIC,
  capabilities: ['text', 'tools'],
  context_window: 200_000,
  max_output_tokens: 100_000,
};

const idSchema = s.openObject({ request_id: s.string() });

function publishEvent(requestId: string, event: StreamEvent): void {
  ipc.publish(STREAM_TOPIC, { type: 'llm_stream_event', request_id: requestId, event });
}

defineCapsule({
  interceptors: {
    handle_describe: () => proceed({ providers: [ENTRY] }),

    // A request that names its id but is otherwise broken is answered, so that nobody waits for a stream that never comes.
    handle_generate: on(idSchema, ({ request_id }, { input }) => {
      try {
        const request = llmRequestSchema.parse(JSON.parse(new TextDecoder().decode(input)), 'payload');
        for (const event of streamEvents(decide(request), request)) publishEvent(request_id, event);
      } catch (thrown) {
        if (!(thrown instanceof Error) || thrown.name !== 'SchemaError') throw thrown;
        publishEvent(request_id, { Error: `invalid_argument: ${thrown.message}` });
      }
    }),
  },
});
