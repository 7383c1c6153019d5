import { astrid_http_request, astrid_http_stream_close, astrid_http_stream_read, astrid_http_stream_start } from "./calls";
import { Json } from "./json";
import { Arguments, Nothing, Result } from "./result";

// HTTP, made by the kernel; `net` of the manifest names the hosts. A request is JSON: `url`, `method` (GET), `headers`
// (object of texts), `body` (text). An error status is a response, not a failure.

/** `status`, `headers`, `body`. At most 30 s (`timed_out`) and a UTF-8 body of 10 MiB (`too_large`). */
export function request(init: Json): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_http_request(a.text(init.toString()))).json();
}

/** `handle` (text), `status`, `headers`, once the headers are there: at most 30 s. At most 4 open streams. */
export function openStream(init: Json): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_http_stream_start(a.text(init.toString()))).json();
}

/** The next chunk; empty at the end. At most 120 s. */
export function readStream(handle: string): Result<Uint8Array> {
  const a = new Arguments();
  return a.reply(astrid_http_stream_read(a.text(handle))).data();
}

/** The end of the body does not close by itself. Closing twice is fine. */
export function closeStream(handle: string): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_http_stream_close(a.text(handle))).nothing();
}
