import { type FunctionSignature, signature } from './signature.js';

export const EXTISM_ENV_MODULE = 'extism:host/env';
export const EXTISM_USER_MODULE = 'extism:host/user';

/**
 * The Extism kernel as a guest may import it: offsets, lengths and 64-bit words are i64, bytes and levels i32.
 * Source: the kernel and the PDKs of Extism 1.x. The last five are not in the JS SDK 1.0.3; the worker gives them.
 */
export const EXTISM_ENV: ReadonlyMap<string, FunctionSignature> = new Map(
  Object.entries({
    alloc: signature('i64', 'i64'),
    free: signature('i64', ''),
    length: signature('i64', 'i64'),
    length_unsafe: signature('i64', 'i64'),
    load_u8: signature('i64', 'i32'),
    load_u64: signature('i64', 'i64'),
    store_u8: signature('i64 i32', ''),
    store_u64: signature('i64 i64', ''),
    input_length: signature('', 'i64'),
    input_load_u8: signature('i64', 'i32'),
    input_load_u64: signature('i64', 'i64'),
    output_set: signature('i64 i64', ''),
    error_set: signature('i64', ''),
    config_get: signature('i64', 'i64'),
    var_get: signature('i64', 'i64'),
    var_set: signature('i64 i64', ''),
    http_request: signature('i64 i64', 'i64'),
    http_status_code: signature('', 'i32'),
    log_warn: signature('i64', ''),
    log_info: signature('i64', ''),
    log_debug: signature('i64', ''),
    log_error: signature('i64', ''),
    input_offset: signature('', 'i64'),
    http_headers: signature('', 'i64'),
    log_trace: signature('i64', ''),
    get_log_level: signature('', 'i32'),
    error_get: signature('', 'i64'),
  }),
);
