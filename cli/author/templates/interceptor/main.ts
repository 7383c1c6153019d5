import { defineCapsule } from 'astrid/sdk';
import * as env from 'astrid/sdk/env';
import { deny, on } from 'astrid/sdk/interceptor';
import { s } from 'astrid/sdk/schema';

const callSchema = s.openObject({ tool_name: s.string() });

defineCapsule({
  interceptors: {
    guard: on(callSchema, ({ tool_name }) => {
      const blocked = env.get('blocked', '').split(',');
      if (blocked.includes(tool_name)) return deny(`${tool_name} is blocked`);
      // Nothing: the next interceptor gets the same message.
    }),
  },
});
