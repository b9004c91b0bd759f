#include "cli/bench.h"

#include "cli/bench_loads.h"

#include <signal.h>
#include <stdlib.h>

static int run(const ln_bench_options *o, ln_bench_meter *m) {
    switch (o->kind) {
    case LN_BENCH_ECHO: return ln_bench_echo(o, m);
    case LN_BENCH_FANOUT: return ln_bench_fanout(o, m);
    case LN_BENCH_PUBLISH: return ln_bench_publish(o, m);
    case LN_BENCH_CONNECT: return ln_bench_connect(o, m);
    case LN_BENCH_IDLE: return ln_bench_idle(o, m);
    }
    return 2;
}

int linnet_cli_bench(int argc, char **argv) {
    ln_bench_options o;
    switch (ln_bench_options_parse(&o, argc, argv)) {
    case LN_BENCH_HELP: return 0;
    case LN_BENCH_USAGE: return 2;
    case LN_BENCH_RUN: break;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    ln_bench_meter *m = ln_bench_alloc(1, sizeof *m);
    int code = ln_bench_meter_init(m, &o) ? run(&o, m) : 1;
    free(m);
    return code;
}
