/**
 * The host calls as a module of ABI generation 3 imports them: each argument and each result is the offset of an Extism
 * block, the void ones too. Nothing but these functions crosses to the kernel. Order and arity are the table's
 * (`abi/syscalls`); a call that a capsule does not reach is not imported by it.
 */
// @ts-ignore: decorator
@external("extism:host/user", "astrid_fs_exists")
export declare function astrid_fs_exists(path: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_fs_mkdir")
export declare function astrid_fs_mkdir(path: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_fs_readdir")
export declare function astrid_fs_readdir(path: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_fs_stat")
export declare function astrid_fs_stat(path: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_fs_unlink")
export declare function astrid_fs_unlink(path: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_read_file")
export declare function astrid_read_file(path: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_write_file")
export declare function astrid_write_file(path: i64, content: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_ipc_publish")
export declare function astrid_ipc_publish(topic: i64, payload: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_ipc_subscribe")
export declare function astrid_ipc_subscribe(pattern: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_ipc_unsubscribe")
export declare function astrid_ipc_unsubscribe(handle: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_ipc_poll")
export declare function astrid_ipc_poll(handle: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_ipc_recv")
export declare function astrid_ipc_recv(handle: i64, timeout_ms: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_uplink_register")
export declare function astrid_uplink_register(name: i64, platform: i64, profile: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_uplink_send")
export declare function astrid_uplink_send(uplink: i64, user_id: i64, content: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_kv_get")
export declare function astrid_kv_get(key: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_kv_set")
export declare function astrid_kv_set(key: i64, value: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_kv_delete")
export declare function astrid_kv_delete(key: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_kv_list_keys")
export declare function astrid_kv_list_keys(prefix: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_kv_clear_prefix")
export declare function astrid_kv_clear_prefix(prefix: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_get_config")
export declare function astrid_get_config(key: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_get_caller")
export declare function astrid_get_caller(): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_http_request")
export declare function astrid_http_request(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_trigger_hook")
export declare function astrid_trigger_hook(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_log")
export declare function astrid_log(level: i64, message: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_spawn_host")
export declare function astrid_spawn_host(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_net_bind_unix")
export declare function astrid_net_bind_unix(path: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_net_accept")
export declare function astrid_net_accept(listener: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_net_read")
export declare function astrid_net_read(stream: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_net_write")
export declare function astrid_net_write(stream: i64, body: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_elicit")
export declare function astrid_elicit(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_has_secret")
export declare function astrid_has_secret(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_signal_ready")
export declare function astrid_signal_ready(): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_clock_ms")
export declare function astrid_clock_ms(): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_get_interceptor_handles")
export declare function astrid_get_interceptor_handles(): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_request_approval")
export declare function astrid_request_approval(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_identity_resolve")
export declare function astrid_identity_resolve(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_identity_link")
export declare function astrid_identity_link(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_identity_unlink")
export declare function astrid_identity_unlink(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_identity_create_user")
export declare function astrid_identity_create_user(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_identity_list_links")
export declare function astrid_identity_list_links(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_check_capsule_capability")
export declare function astrid_check_capsule_capability(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_spawn_background_host")
export declare function astrid_spawn_background_host(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_read_process_logs_host")
export declare function astrid_read_process_logs_host(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_kill_process_host")
export declare function astrid_kill_process_host(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_net_close_stream")
export declare function astrid_net_close_stream(stream: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_net_poll_accept")
export declare function astrid_net_poll_accept(listener: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_http_stream_start")
export declare function astrid_http_stream_start(request: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_http_stream_read")
export declare function astrid_http_stream_read(stream: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_http_stream_close")
export declare function astrid_http_stream_close(stream: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_cron_schedule")
export declare function astrid_cron_schedule(name: i64, schedule: i64, payload: i64): i64;
// @ts-ignore: decorator
@external("extism:host/user", "astrid_cron_cancel")
export declare function astrid_cron_cancel(name: i64): i64;
