import { defineCapsule } from 'astrid/sdk';
import * as env from 'astrid/sdk/env';
import * as hooks from 'astrid/sdk/hooks';
import { on } from 'astrid/sdk/interceptor';
import * as ipc from 'astrid/sdk/ipc';
import * as kv from 'astrid/sdk/kv';
import { type LlmRequest, providerSchema } from 'astrid/sdk/llm';
import { randomUuid } from 'astrid/sdk/random';
import { s } from 'astrid/sdk/schema';

/** A turn lives in a value, not in a variable: the process may end between two messages. */
interface Turn {
  readonly sessionId: string;
  readonly text: string;
}

const promptSchema = s.openObject({ text: s.string(), session_id: s.string().default('default') });
const streamSchema = s.openObject({ request_id: s.string(), event: s.json() });
const offerSchema = s.openObject({ providers: s.array(providerSchema).default([]) });

const turnKey = (requestId: string): string => `turn.${requestId}`;

function answer(sessionId: string, text: string): void {
  ipc.publish('agent.v1.response', { type: 'agent_response', text, is_final: true, session_id: sessionId });
}

defineCapsule({
  interceptors: {
    prompt: on(promptSchema, ({ text, session_id }) => {
      const offers = hooks.trigger('llm.v1.request.describe', {});
      const provider = offers.flatMap((offer) => offerSchema.parse(offer).providers)[0];
      if (provider === undefined) return answer(session_id, 'There is no model here.');
      const request: LlmRequest = {
        request_id: randomUuid(),
        model: '',
        messages: [{ role: 'user', content: text }],
        tools: [],
        system: env.get('instructions', ''),
      };
      kv.setJson(turnKey(request.request_id), { sessionId: session_id, text: '' } satisfies Turn);
      ipc.publish(provider.request_topic, { type: 'llm_request', ...request });
    }),

    stream: on(streamSchema, ({ request_id, event }) => {
      const turn = kv.getJson(turnKey(request_id)) as Turn | undefined;
      // Somebody else's request.
      if (turn === undefined) return;
      if (event === 'Done') {
        kv.delete(turnKey(request_id));
        return answer(turn.sessionId, turn.text);
      }
      const { TextDelta: delta, Error: failure } = event as { TextDelta?: string; Error?: string };
      if (failure !== undefined) {
        kv.delete(turnKey(request_id));
        return answer(turn.sessionId, `The model failed: ${failure}`);
      }
      if (delta !== undefined) kv.setJson(turnKey(request_id), { ...turn, text: turn.text + delta } satisfies Turn);
    }),
  },
});
