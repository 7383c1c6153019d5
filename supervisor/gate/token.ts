import { Fault } from '../../abi/errno.js';
import { type Layer, PASS } from './types.js';

/**
 * The place of capability tokens in the pipeline. While no token is asked for, the layer has nothing to object.
 * A configuration that asks for one stops the boot, since letting every call pass would be the opposite of what it says.
 */
export function makeTokenLayer(tokens: { readonly required: boolean }): Layer {
  if (tokens.required) {
    const message = 'tokens.required = true: capability tokens are not served yet; take the line out to start without';
    throw new Fault('bad_config', message, { field: 'tokens.required' });
  }
  return { name: 'token', judge: () => PASS };
}
