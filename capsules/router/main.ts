import { defineCapsule } from 'astrid/sdk';
import { on } from 'astrid/sdk/interceptor';
import * as ipc from 'astrid/sdk/ipc';
import { s } from 'astrid/sdk/schema';

/**
 * Tool calls by topic convention (ABI reference 5.4): `tool.v1.request.execute` goes on to `tool.v1.execute.<tool>`,
 * and what the tool publishes on `tool.v1.execute.<tool>.result` goes to `tool.v1.execute.result`. Keeps no state.
 *
 * The tool name comes from a model and becomes a topic, so it is checked here: a dot would reach a deeper topic, `*`
 * reads as a pattern, and `result` is the topic of results, where a call would pass for an answer.
 */
const TOOL_NAME = /^[A-Za-z0-9_:-]{1,128}$/;
const RESULTS = 'tool.v1.execute.result';

const callId = s.string(undefined, { minLength: 1, maxLength: 256 });
const executeSchema = s.openObject({ call_id: callId, tool_name: s.string(), arguments: s.json() });
const resultSchema = s.openObject({
  call_id: callId,
  result: s.openObject({ call_id: callId, content: s.string(), is_error: s.boolean().default(false) }),
});

function publishResult(id: string, content: string, isError: boolean): void {
  ipc.publish(RESULTS, {
    type: 'tool_execute_result',
    call_id: id,
    result: { call_id: id, content, is_error: isError },
  });
}

/** At most this much of a bad name is repeated: it is the model's text, of any length. */
const shown = (name: string): string => JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);

defineCapsule({
  interceptors: {
    handle_execute: on(executeSchema, (request) => {
      if (!TOOL_NAME.test(request.tool_name) || request.tool_name === 'result') {
        publishResult(request.call_id, `invalid_argument: ${shown(request.tool_name)} is not a tool name`, true);
        return;
      }
      ipc.publish(`tool.v1.execute.${request.tool_name}`, {
        type: 'tool_execute_request',
        call_id: request.call_id,
        tool_name: request.tool_name,
        arguments: request.arguments,
      });
    }),

    // The outer call id is the one the agent waits for; a result that names another inside is not to be trusted.
    handle_result: on(resultSchema, (answer) => {
      publishResult(answer.call_id, answer.result.content, answer.result.is_error);
    }),
  },
});
