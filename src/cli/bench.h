/* bench.h -- `linnet bench`: a load generator for WebSocket servers.
 *
 * It drives any server, ours or another's, and is therefore a program of its
 * own: its own epoll loop and its own minimal client framing, no part of the
 * library it measures. Frames are built and masked once, before the clock runs;
 * what comes back is counted by its headers, and only the first messages of
 * each connection are compared byte by byte.
 *
 * bench_options  the command line        bench_frame   bytes out, bytes in
 * bench_hist     percentiles             bench_deflate permessage-deflate both ways
 * bench_pool     connections and loop    bench_meter   warm-up, measuring, report
 * bench_echo, bench_fanout, bench_connect, bench_idle: one file per kind of load
 */
#ifndef LN_CLI_BENCH_H
#define LN_CLI_BENCH_H

/* Runs one load. argv[0] is "bench", argv[1] the kind. Prints the table (or one
 * JSON line) on stdout and errors on stderr. Returns the exit code: 0 done,
 * 1 the server could not be reached or answered wrongly, 2 wrong usage. */
int linnet_cli_bench(int argc, char **argv);

#endif
