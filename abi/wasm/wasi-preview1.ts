import { type FunctionSignature, signature } from './signature.js';

export const WASI_MODULE = 'wasi_snapshot_preview1';

/**
 * Every function of WASI preview 1, because toolchains link more than they use. What each one answers is the
 * worker's matter (design section 8); a name that is not here is refused at install.
 * Source: wasi_snapshot_preview1.witx, in the core types that wasi-libc imports it with.
 */
export const WASI_PREVIEW1: ReadonlyMap<string, FunctionSignature> = new Map(
  Object.entries({
    args_get: signature('i32 i32', 'i32'),
    args_sizes_get: signature('i32 i32', 'i32'),
    clock_res_get: signature('i32 i32', 'i32'),
    clock_time_get: signature('i32 i64 i32', 'i32'),
    environ_get: signature('i32 i32', 'i32'),
    environ_sizes_get: signature('i32 i32', 'i32'),
    fd_advise: signature('i32 i64 i64 i32', 'i32'),
    fd_allocate: signature('i32 i64 i64', 'i32'),
    fd_close: signature('i32', 'i32'),
    fd_datasync: signature('i32', 'i32'),
    fd_fdstat_get: signature('i32 i32', 'i32'),
    fd_fdstat_set_flags: signature('i32 i32', 'i32'),
    fd_fdstat_set_rights: signature('i32 i64 i64', 'i32'),
    fd_filestat_get: signature('i32 i32', 'i32'),
    fd_filestat_set_size: signature('i32 i64', 'i32'),
    fd_filestat_set_times: signature('i32 i64 i64 i32', 'i32'),
    fd_pread: signature('i32 i32 i32 i64 i32', 'i32'),
    fd_prestat_dir_name: signature('i32 i32 i32', 'i32'),
    fd_prestat_get: signature('i32 i32', 'i32'),
    fd_pwrite: signature('i32 i32 i32 i64 i32', 'i32'),
    fd_read: signature('i32 i32 i32 i32', 'i32'),
    fd_readdir: signature('i32 i32 i32 i64 i32', 'i32'),
    fd_renumber: signature('i32 i32', 'i32'),
    fd_seek: signature('i32 i64 i32 i32', 'i32'),
    fd_sync: signature('i32', 'i32'),
    fd_tell: signature('i32 i32', 'i32'),
    fd_write: signature('i32 i32 i32 i32', 'i32'),
    path_create_directory: signature('i32 i32 i32', 'i32'),
    path_filestat_get: signature('i32 i32 i32 i32 i32', 'i32'),
    path_filestat_set_times: signature('i32 i32 i32 i32 i64 i64 i32', 'i32'),
    path_link: signature('i32 i32 i32 i32 i32 i32 i32', 'i32'),
    path_open: signature('i32 i32 i32 i32 i32 i64 i64 i32 i32', 'i32'),
    path_readlink: signature('i32 i32 i32 i32 i32 i32', 'i32'),
    path_remove_directory: signature('i32 i32 i32', 'i32'),
    path_rename: signature('i32 i32 i32 i32 i32 i32', 'i32'),
    path_symlink: signature('i32 i32 i32 i32 i32', 'i32'),
    path_unlink_file: signature('i32 i32 i32', 'i32'),
    poll_oneoff: signature('i32 i32 i32 i32', 'i32'),
    proc_exit: signature('i32', ''),
    proc_raise: signature('i32', 'i32'),
    random_get: signature('i32 i32', 'i32'),
    sched_yield: signature('', 'i32'),
    sock_accept: signature('i32 i32 i32', 'i32'),
    sock_recv: signature('i32 i32 i32 i32 i32 i32', 'i32'),
    sock_send: signature('i32 i32 i32 i32 i32', 'i32'),
    sock_shutdown: signature('i32 i32', 'i32'),
  }),
);
