/* main.c -- the table of verbs. */
#include "cli/bench.h"
#include "cli/verbs.h"
#include "daemon/args.h"
#include <fcntl.h>
#include <linnet/linnet.h>
#include <stdio.h>
#include <string.h>

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} verbs[] = {
    { "serve", ln_verb_serve, "the server: channels, and pages to try them" },
    { "config", ln_verb_config, "check, show and explain linnet.yaml" },
    { "echo", ln_verb_echo, "a bare echo server, for tests and measurements" },
    { "connect", ln_verb_connect, "talk to a WebSocket server, by hand or through a pipe" },
    { "sub", ln_verb_sub, "print what is published in channels" },
    { "pub", ln_verb_pub, "publish in a channel" },
    { "history", ln_verb_history, "print what a channel keeps" },
    { "presence", ln_verb_presence, "who is in a channel, and who comes and goes" },
    { "channels", ln_verb_channels, "which channels there are, and how many are in them" },
    { "call", ln_verb_call, "ask the backend of a server something" },
    { "bench", linnet_cli_bench, "load for any WebSocket server: echo, fanout, connect, idle" },
    { "doctor", ln_verb_doctor, "what stands in the way, here and on the way to a server" },
    { "drain", ln_verb_drain, "make a server leave without a storm, or say what that would mean" },
    { "status", ln_verb_status, "how a running server is: connections, traffic, times" },
    { "why", ln_verb_why, "how connections ended, and what to do about it" },
    { "tail", ln_verb_tail, "what happens on a server, as it happens" },
    { "token", ln_verb_token, "make and check tokens to log in with" },
    { "version", ln_verb_version, "version of the program" },
};

static void usage(FILE *to) {
    fprintf(to, "usage: linnet VERB [options]\n\nRealtime messaging over WebSocket.\n\nverbs:\n");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        fprintf(to, "  %-10s%s\n", verbs[i].name, verbs[i].about);
    fprintf(to, "\n'linnet VERB --help' tells more.\n");
}

int ln_verb_version(int argc, char **argv) {
    const ln_args a = { .usage = "linnet version", .about = "Prints the version." };
    int code = ln_args_parse(&a, argc, argv, NULL);
    if (code >= 0) return code;
    printf("linnet %s\n", linnet_version());
    return 0;
}

/* Descriptors 0 to 2 that our parent has closed would go to the next sockets, and what is printed
 * would go to a peer. What stands in their place fails when it is used, as a closed one does. */
static void occupy_standard(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) return;
}

/* Who reads what we print must not take the half of it for the whole. */
static int written(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    ln_say("not all of the output could be written");
    return code == 0 ? 1 : code;
}

static int run(int argc, char **argv) {
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[0], verbs[i].name) == 0) return verbs[i].run(argc, argv);
    ln_say("there is no verb '%.50s'; 'linnet --help' lists them", argv[0]);
    return 2;
}

int main(int argc, char **argv) {
    occupy_standard();
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    bool help = strcmp(argv[1], "help") == 0;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (help && argc == 2)) {
        usage(stdout);
        return written(0);
    }
    if (help) return written(run(2, (char *[]){ argv[2], "--help", NULL }));
    if (strcmp(argv[1], "--version") == 0) argv[1] += 2;
    return written(run(argc - 1, argv + 1));
}
