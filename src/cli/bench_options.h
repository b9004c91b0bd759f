/* bench_options.h -- the command line of `linnet bench`. */
#ifndef LN_CLI_BENCH_OPTIONS_H
#define LN_CLI_BENCH_OPTIONS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum ln_bench_kind {
    LN_BENCH_ECHO = 1, /* bits: a flag says which kinds know it */
    LN_BENCH_FANOUT = 2,
    LN_BENCH_CONNECT = 4,
    LN_BENCH_IDLE = 8,
    LN_BENCH_PUBLISH = 16,
} ln_bench_kind;

typedef enum ln_bench_body { LN_BENCH_TEXT, LN_BENCH_BINARY, LN_BENCH_NON_ASCII } ln_bench_body;

typedef enum ln_bench_compression {
    LN_BENCH_PLAIN,
    LN_BENCH_TAKEOVER,
    LN_BENCH_NO_TAKEOVER,
} ln_bench_compression;

typedef struct ln_bench_options {
    ln_bench_kind kind;
    const char *url;    /* as given */
    char host[256];     /* from it, without brackets */
    char port[6];       /* decimal */
    const char *target; /* path and query, "/" when there is none; part of url or static */
    bool tls;

    uint64_t connections, in_flight, size, count, sources;
    uint64_t topics, topics_each, burst, publishers;
    uint64_t rate; /* publications a second of each publisher; 0: as fast as they are heard */
    uint64_t pid;  /* 0: no server process to look at */
    double duration_s, warmup_s;
    ln_bench_body body;
    ln_bench_compression deflate;
    bool raw, native, json, spin;
} ln_bench_options;

typedef enum ln_bench_parsed {
    LN_BENCH_RUN,   /* *out is complete */
    LN_BENCH_HELP,  /* help was printed on stdout */
    LN_BENCH_USAGE, /* a sentence about what would be right was printed on stderr */
} ln_bench_parsed;

/* Reads argv (argv[1] is the kind). Strings in *out point into argv. */
ln_bench_parsed ln_bench_options_parse(ln_bench_options *out, int argc, char **argv);

/* The kind as it is spelled on the command line. */
const char *ln_bench_kind_name(ln_bench_kind kind);

#endif
