import { defineCapsule } from 'astrid/sdk';
import { on, proceed } from 'astrid/sdk/interceptor';
import * as ipc from 'astrid/sdk/ipc';
import { llmRequestSchema, type Provider, type StreamEvent, textOf } from 'astrid/sdk/llm';

const STREAM_TOPIC = 'llm.v1.stream.{{name}}';

const ENTRY: Provider = {
  id: '{{name}}',
  description: 'Repeats the last message',
  request_topic: 'llm.v1.request.generate.{{name}}',
  stream_topic: STREAM_TOPIC,
  capabilities: ['text'],
};

/** Whoever asked waits for events with its request id, until `Done` or an `Error`. */
function send(requestId: string, event: StreamEvent): void {
  ipc.publish(STREAM_TOPIC, { type: 'llm_stream_event', request_id: requestId, event });
}

defineCapsule({
  interceptors: {
    describe: () => proceed({ providers: [ENTRY] }),

    generate: on(llmRequestSchema, ({ request_id, messages }) => {
      const last = messages.at(-1);
      send(request_id, { TextDelta: last === undefined ? 'Nobody said anything.' : `You said: ${textOf(last)}` });
      send(request_id, { Usage: { input_tokens: messages.length, output_tokens: 1 } });
      send(request_id, 'Done');
    }),
  },
});
