/* status.c -- `linnet status`: the metrics of a running server, for people. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/samples.h"
#include "cli/verbs.h"
#include <math.h>
#include <stdio.h>
#include <time.h>

/* ---- for people ------------------------------------------------------------------------ */

static void print_duration(double s) {
    unsigned long n = s > 0 ? (unsigned long)s : 0;
    if (n >= 172800)
        printf("%lu days", n / 86400);
    else if (n >= 3600)
        printf("%lu h %lu min", n / 3600, n / 60 % 60);
    else if (n >= 60)
        printf("%lu min %lu s", n / 60, n % 60);
    else
        printf("%lu s", n);
}

static void print_bytes(double n) {
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    unsigned i = 0;
    for (; n >= 1024 && i < 4; i++)
        n /= 1024;
    printf(i ? "%.1f %s" : "%.0f %s", n, units[i]);
}

static void row(const char *name) {
    printf("%-14s", name);
}

/* Those that are not 0, with what is said before the first. */
static void print_labels(ln_slice text, const char *name, const char *before) {
    ln_scraped s;
    while (ln_scraped_next(&text, &s) == 1) {
        if (!ln_slice_eq(s.name, ln_slice_str(name)) || !s.label.data) continue;
        if (ln_slice_eq(s.value, LN_SLICE("0"))) continue;
        printf("%s%.*s %.*s", before, (int)s.label.size, (const char *)s.label.data,
            (int)s.value.size, (const char *)s.value.data);
        before = ", ";
    }
}

static void print_times(ln_slice text, const char *name, const char *title) {
    static const double qs[] = { 0.5, 0.99, 0.999 };
    row(title);
    for (unsigned i = 0; i < 3; i++) {
        double v = ln_scraped_quantile(text, name, qs[i]);
        if (v < 0) {
            printf("nothing was timed yet");
            break;
        }
        printf("%s%g %% within ", i ? ", " : "", qs[i] * 100);
        if (isinf(v))
            printf("more than 10 s");
        else
            printf("%g ms", v * 1000);
    }
    printf("\n");
}

static void print_version(ln_slice text) {
    ln_scraped s;
    double started = ln_scraped_value(text, "process_start_time_seconds", NULL);
    double workers = ln_scraped_value(text, "linnet_workers", NULL);
    double stuck = ln_scraped_value(text, "linnet_workers_stuck", NULL);
    for (ln_slice rest = text; ln_scraped_next(&rest, &s) == 1;)
        if (ln_slice_eq(s.name, LN_SLICE("linnet_build_info")))
            printf("linnet %.*s", (int)s.label.size, (const char *)s.label.data);
    printf(", up ");
    print_duration((double)time(NULL) - started);
    printf(", %.0f worker%s%s", workers, workers == 1 ? "" : "s",
        ln_scraped_value(text, "linnet_draining", NULL) > 0 ? ", draining" : "");
    if (stuck > 0) printf(", %.0f of them stuck", stuck);
    printf("\n");
}

static void print_connections(ln_slice text) {
    row("connections");
    printf("%.0f", ln_scraped_sum(text, "linnet_connections"));
    print_labels(text, "linnet_connections", ": ");
    printf("\n");
    row("WebSockets");
    printf("%.0f opened", ln_scraped_value(text, "linnet_connections_opened_total", NULL));
    print_labels(text, "linnet_connections_closed_total", "; closed with ");
    printf("\n");
    row("refused");
    printf("%.0f", ln_scraped_sum(text, "linnet_handshake_failures_total") +
                       ln_scraped_value(text, "linnet_accept_refusals_total", NULL));
    print_labels(text, "linnet_handshake_failures_total", ": ");
    printf("\n");
    row("thrown out");
    printf("%.0f", ln_scraped_sum(text, "linnet_rejects_total"));
    print_labels(text, "linnet_rejects_total", ": ");
    printf("\n");
}

static void print_traffic(ln_slice text) {
    row("channels");
    printf("%.0f, %.0f subscriptions\n", ln_scraped_value(text, "linnet_channels", NULL),
        ln_scraped_value(text, "linnet_subscriptions", NULL));
    row("published");
    printf("%.0f, delivered %.0f\n", ln_scraped_value(text, "linnet_publications_total", NULL),
        ln_scraped_value(text, "linnet_deliveries_total", NULL));
    row("received");
    printf("%.0f messages, ", ln_scraped_value(text, "linnet_messages_received_total", NULL));
    print_bytes(ln_scraped_value(text, "linnet_bytes_received_total", NULL));
    printf("\n");
    row("sent");
    printf("%.0f messages, ", ln_scraped_value(text, "linnet_messages_sent_total", NULL));
    print_bytes(ln_scraped_value(text, "linnet_bytes_sent_total", NULL));
    printf("; ");
    print_bytes(ln_scraped_value(text, "linnet_send_queue_bytes", NULL));
    printf(" wait\n");
}

static void print_process(ln_slice text) {
    row("process");
    print_bytes(ln_scraped_value(text, "process_resident_memory_bytes", NULL));
    printf(", %.1f s of CPU, %.0f of %.0f descriptors\n",
        ln_scraped_value(text, "process_cpu_seconds_total", NULL),
        ln_scraped_value(text, "process_open_fds", NULL),
        ln_scraped_value(text, "process_max_fds", NULL));
}

static void print_all(ln_slice text) {
    print_version(text);
    print_connections(text);
    print_traffic(text);
    print_times(text, "linnet_publish_duration_seconds", "publishing");
    print_times(text, "linnet_rtt_seconds", "round trips");
    print_times(text, "linnet_event_loop_lag_seconds", "loop lag");
    print_process(text);
}

/* ---- for machines ---------------------------------------------------------------------- */

static void put_key(ln_json_writer *w, ln_slice key) {
    char text[128];
    snprintf(text, sizeof text, "%.*s", (int)key.size, (const char *)key.data);
    ln_json_key(w, text);
}

/* {"linnet_channels":3,"linnet_connections":{"v1":2,"none":0},...} */
static int put_json(ln_slice text, ln_buf *out) {
    ln_json_writer w = ln_json_begin(out);
    ln_scraped s;
    ln_slice inside = { NULL, 0 }; /* the name whose labels are being written */
    int more;
    ln_json_open(&w, '{');
    while ((more = ln_scraped_next(&text, &s)) == 1) {
        bool same = inside.data && ln_slice_eq(inside, s.name);
        if (inside.data && !same) ln_json_close(&w, '}');
        if (!same) put_key(&w, s.name);
        if (!same && s.label.data) ln_json_open(&w, '{');
        inside = s.label.data ? s.name : ln_slice_of(NULL, 0);
        if (s.label.data) put_key(&w, s.label);
        ln_json_raw(&w, s.value);
    }
    if (inside.data) ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    return more < 0 ? more : ln_json_end(&w);
}

int ln_verb_status(int argc, char **argv) {
    ln_ask ask = LN_ASK_INIT;
    bool json = false;
    const ln_arg rows[] = {
        LN_ASK_ROWS(ask),
        { "json", NULL, LN_ARG_FLAG, &json, 0, 0, "all metrics as one JSON object" },
    };
    const ln_args a = { .usage = "linnet status [options]",
        .about = "Shows how a running server is: connections, channels, traffic, times, memory.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet status\n"
                "  linnet status --url http://127.0.0.1:9000 --json\n"
                "  linnet status --url unix:/run/linnet/door --key-file /etc/linnet/keys\n"
                "\n"
                "exit codes: 0 shown; 1 no answer, or a refusal; 2 wrong use" };
    int code = ln_args_parse(&a, argc, argv, NULL);
    if (code >= 0) return code;
    ln_buf text, out;
    ln_buf_init(&text, LN_ASK_MAX);
    ln_buf_init(&out, LN_ASK_MAX);
    code = ln_ask_do(&ask, "GET", "/metrics", ln_slice_of("", 0), &text);
    ln_ask_forget(&ask);
    if (code < 0 && json && put_json(ln_buf_slice(&text), &out) == LINNET_OK)
        printf("%.*s\n", (int)out.size, (const char *)ln_buf_slice(&out).data);
    else if (code < 0 && !json)
        print_all(ln_buf_slice(&text));
    else if (code < 0)
        ln_say("these are no metrics");
    ln_buf_fini(&text);
    ln_buf_fini(&out);
    return code < 0 ? 0 : code;
}
