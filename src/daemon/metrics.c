#include "daemon/metrics.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void gauge(ln_exposition *e, const char *name, const char *help, uint64_t value) {
    ln_family(e, name, "gauge", help);
    ln_sample(e, NULL, NULL, value);
}

static void counter(ln_exposition *e, const char *name, const char *help, uint64_t value) {
    ln_family(e, name, "counter", help);
    ln_sample(e, NULL, NULL, value);
}

/* ---- connections --------------------------------------------------------------------- */

/* What is no session: HTTP, handshakes, closing ones. Counters move while they are read, so the
 * difference may be off for a moment, but never below 0. */
static void put_dialects(ln_exposition *e, const ln_metrics *m, uint64_t all) {
    unsigned at = 0;
    uint64_t n, known = 0;
    ln_family(e, "linnet_connections", "gauge", "Connections now, by dialect; none: HTTP.");
    for (const char *name; (name = linnet_hub_next_dialect(m->hub, &at, &n)); known += n)
        ln_sample(e, "dialect", name, n);
    ln_sample(e, "dialect", "none", all > known ? all - known : 0);
}

static void put_closes(ln_exposition *e, const ln_metrics *m) {
    unsigned at = 0;
    uint64_t n;
    uint16_t code;
    char text[8];
    ln_family(e, "linnet_connections_closed", "counter",
        "WebSockets that ended, by the close code that says why.");
    while (linnet_server_next_close(m->server, &at, &code, &n)) {
        snprintf(text, sizeof text, "%u", code);
        ln_sample(e, "code", code ? text : "other", n);
    }
}

/* http: those of requests and handshakes; else those of what came over WebSockets. */
static void put_reasons(ln_exposition *e, const ln_metrics *m, bool http) {
    unsigned at = 0;
    uint64_t n;
    for (const char *name; (name = linnet_server_next_reason(m->server, &at, &n));)
        if ((strncmp(name, "HTTP_", 5) == 0) == http) ln_sample(e, "reason", name, n);
}

static void put_server(ln_exposition *e, const ln_metrics *m) {
    linnet_server_stats s = LINNET_SERVER_STATS_INIT;
    linnet_server_get_stats(m->server, &s);
    gauge(e, "linnet_workers", "Threads that serve.", linnet_server_workers(m->server));
    gauge(e, "linnet_draining", "1 while the server is leaving.", m->draining);
    put_dialects(e, m, linnet_server_connections(m->server));
    counter(e, "linnet_connections_accepted", "Connections of any kind.", s.connections);
    counter(e, "linnet_connections_opened", "WebSockets opened.", s.opens);
    put_closes(e, m);
    ln_family(
        e, "linnet_handshake_failures", "counter", "Requests and handshakes refused, by reason.");
    put_reasons(e, m, true);
    ln_family(e, "linnet_rejects", "counter",
        "Connections ended for what came over them or did not, by reason.");
    put_reasons(e, m, false);
    counter(e, "linnet_accept_refusals", "Connections closed unheard, over the limit.",
        s.accept_refusals);
    counter(e, "linnet_accept_failures", "Times accepting had to pause for want of descriptors.",
        s.accept_failures);
    counter(e, "linnet_messages_received", "WebSocket messages received.", s.messages_in);
    counter(e, "linnet_messages_sent", "WebSocket messages sent.", s.messages_out);
    counter(e, "linnet_bytes_received", "Bytes received on all connections.", s.bytes_in);
    counter(e, "linnet_bytes_sent", "Bytes sent on all connections.", s.bytes_out);
    counter(e, "linnet_socket_sends", "System calls that sent something.", s.sends);
    gauge(e, "linnet_send_queue_bytes", "Bytes that wait to be sent.", s.queued_bytes);
    gauge(e, "linnet_connections_stalled",
        "Connections of whose bytes the kernel takes no more for the moment.", s.stalled);
    counter(e, "linnet_compression_declined",
        "WebSockets that go without compression for want of memory for it.", s.uncompressed);
    counter(
        e, "linnet_budget_cuts", "Connections cut because too much waited on all of them.", s.cut);
}

/* ---- memory -------------------------------------------------------------------------- */

static void put_memory(ln_exposition *e, const ln_metrics *m) {
    linnet_memory s = LINNET_MEMORY_INIT;
    linnet_server_get_memory(m->server, &s);
    ln_family(e, "linnet_memory_bytes", "gauge", "Memory by what it is for, about.");
    ln_sample(e, "purpose", "connections", s.connections);
    ln_sample(e, "purpose", "queues", s.queues);
    ln_sample(e, "purpose", "histories", s.histories);
    ln_sample(e, "purpose", "presence", s.presence);
    ln_sample(e, "purpose", "compression", s.compression);
    ln_sample(e, "purpose", "tables", s.tables);
    ln_family(e, "linnet_memory_budget_bytes", "gauge", "What all of that may take; 0: any.");
    ln_sample(e, "purpose", "queues", s.queues_max);
    ln_sample(e, "purpose", "histories", s.histories_max);
    gauge(e, "linnet_crowded", "1 while more waits to be sent than may, and nobody publishes.",
        linnet_server_crowded(m->server));
}

/* ---- channels ------------------------------------------------------------------------ */

/* Counters move while they are read: never below 0. */
static void put_limits(ln_exposition *e, const ln_metrics *m, const linnet_hub_stats *s) {
    uint64_t shared = s->limited_user + s->limited_address, n;
    unsigned at = 0;
    ln_family(e, "linnet_ratelimited", "counter",
        "Commands, and handshakes, refused for coming too fast, by whose rate it was.");
    ln_sample(e, "scope", "connection", s->rate_limited > shared ? s->rate_limited - shared : 0);
    ln_sample(e, "scope", "user", s->limited_user);
    ln_sample(e, "scope", "address", s->limited_address);
    ln_sample(e, "scope", "handshake", s->limited_handshakes);
    ln_family(e, "linnet_ratelimited_commands", "counter", "The commands among them, by kind.");
    for (const char *name; (name = linnet_hub_next_limit(m->hub, &at, &n));)
        ln_sample(e, "kind", name, n);
    counter(e, "linnet_users_full", "Connections closed because their user has too many.",
        s->full_users);
}

static void put_errors(ln_exposition *e, const ln_metrics *m) {
    unsigned at = 0;
    uint64_t n;
    ln_family(e, "linnet_command_errors", "counter", "Commands answered with an error, by which.");
    for (const char *name; (name = linnet_hub_next_error(m->hub, &at, &n));)
        ln_sample(e, "error", name, n);
}

static void put_dropped(ln_exposition *e, const ln_metrics *m, const linnet_hub_stats *s) {
    linnet_server_stats server = LINNET_SERVER_STATS_INIT;
    linnet_server_get_stats(m->server, &server);
    ln_family(e, "linnet_messages_dropped", "counter",
        "Messages left out for readers who do not keep up, by why they could be.");
    ln_sample(e, "reason", "policy", s->dropped);
    ln_sample(e, "reason", "volatile", server.spared);
}

static void put_hub(ln_exposition *e, const ln_metrics *m) {
    linnet_hub_stats s = LINNET_HUB_STATS_INIT;
    linnet_hub_get_stats(m->hub, &s);
    gauge(e, "linnet_channels", "Channels somebody is in, counted on each worker.", s.channels);
    gauge(e, "linnet_subscriptions", "Subscriptions now.", s.subscriptions);
    counter(e, "linnet_publications", "Publications by clients.", s.publishes);
    counter(e, "linnet_deliveries", "Publications times their subscribers.", s.deliveries);
    put_errors(e, m);
    put_dropped(e, m, &s);
    counter(e, "linnet_commands_held", "Commands that waited for answers to others.", s.held);
    counter(e, "linnet_commands_unknown", "Messages of no known type, ignored.", s.unknown);
    counter(e, "linnet_client_calls", "Calls to clients, one per connection asked.", s.calls);
    counter(e, "linnet_client_replies_stray", "Replies to no call that waits.", s.stray_replies);
    put_limits(e, m, &s);
    counter(e, "linnet_publications_put_off",
        "Publications of clients refused because too much waited to be sent.", s.crowded);
    counter(e, "linnet_history_evictions",
        "Publications dropped from histories before their time, for want of room.", s.evicted);
    counter(e, "linnet_positions_forgotten",
        "Positions of channels nobody was in, forgotten because of their age or number.",
        s.positions_forgotten);
    counter(e, "linnet_keys_forgotten",
        "Keys of publications forgotten before their time, for want of room.", s.keys_forgotten);
    ln_family(e, "linnet_recoveries", "counter",
        "Subscriptions that asked to go on where they "
        "had been.");
    ln_sample(e, "result", "recovered", s.recovered);
    ln_sample(e, "result", "lost", s.lost);
}

/* One family at a time, as the format wants it. 0 for an age: no keys have come yet. */
static void put_jwks_family(ln_exposition *e, const ln_metrics *m, int which) {
    unsigned at = 0;
    linnet_jwks_stats s = LINNET_JWKS_STATS_INIT;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    uint64_t now = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000;
    for (const char *issuer; (issuer = linnet_hub_next_jwks(m->hub, &at, &s));) {
        uint64_t age = s.came_ms && now > s.came_ms ? (now - s.came_ms) / 1000 : 0;
        const uint64_t values[] = { s.fetches, s.failures, s.keys, age };
        ln_sample(e, "issuer", issuer, values[which]);
    }
}

static void put_jwks(ln_exposition *e, const ln_metrics *m) {
    unsigned at = 0;
    linnet_jwks_stats s = LINNET_JWKS_STATS_INIT;
    if (!linnet_hub_next_jwks(m->hub, &at, &s)) return;
    ln_family(e, "linnet_jwks_fetches", "counter", "Times keys of an issuer were fetched.");
    put_jwks_family(e, m, 0);
    ln_family(e, "linnet_jwks_failures", "counter", "Of those, without a set of keys.");
    put_jwks_family(e, m, 1);
    ln_family(e, "linnet_jwks_keys", "gauge", "Keys of an issuer in use.");
    put_jwks_family(e, m, 2);
    ln_family(e, "linnet_jwks_age_seconds", "gauge", "How long ago they came.");
    put_jwks_family(e, m, 3);
}

/* ---- webhooks ------------------------------------------------------------------------ */

static void put_webhooks(ln_exposition *e, const ln_metrics *m) {
    linnet_hook_stats s = LINNET_HOOK_STATS_INIT;
    linnet_hub_hook_stats(m->hub, &s);
    ln_family(e, "linnet_webhook_questions", "counter",
        "Questions to webhooks; those unanswered are among those asked.");
    ln_sample(e, "result", "asked", s.asked);
    ln_sample(e, "result", "unanswered", s.unanswered);
    ln_family(e, "linnet_webhook_news", "counter", "News for webhooks that are done with.");
    ln_sample(e, "result", "told", s.told);
    ln_sample(e, "result", "failed", s.failed);
    ln_sample(e, "result", "dropped", s.dropped);
    counter(e, "linnet_webhook_retries", "News sent once more.", s.retried);
    gauge(e, "linnet_webhook_queue", "News that wait to be sent.", s.waiting);
    gauge(e, "linnet_webhook_underway", "Requests to webhooks now.", s.underway);
}

/* ---- time ---------------------------------------------------------------------------- */

static void put_measure(ln_exposition *e, const ln_metrics *m, linnet_measure what,
    const char *name, const char *help) {
    linnet_histogram h = LINNET_HISTOGRAM_INIT;
    linnet_server_measure(m->server, what, &h);
    ln_family(e, name, "histogram", help);
    ln_histogram(e, &h);
}

static void put_lag(ln_exposition *e, const ln_metrics *m) {
    linnet_histogram h = LINNET_HISTOGRAM_INIT;
    for (unsigned b = 0; b < LN_HIST_BUCKETS; b++)
        h.bound_us[b] = ln_hist_bound(b);
    for (unsigned w = 0; w < linnet_server_workers(m->server); w++) {
        const ln_hist *lag = ln_attendant_lag(m->attendant, w);
        for (unsigned b = 0; b < LN_HIST_BUCKETS; b++)
            h.counts[b] += ln_stat_get(&lag->buckets[b]);
        h.sum_us += ln_stat_get(&lag->sum_us);
    }
    ln_family(e, "linnet_event_loop_lag_seconds", "histogram",
        "How late a worker answered, asked once a second.");
    ln_histogram(e, &h);
    gauge(e, "linnet_workers_stuck", "Workers that have not answered for 5 s.",
        ln_attendant_stuck(m->attendant));
}

/* ---- the process --------------------------------------------------------------------- */

/* The number of the field after the name in /proc/self/stat; fields count from 3 there. */
static uint64_t stat_field(const char *stat, int field) {
    const char *at = strrchr(stat, ')');
    for (int i = 2; at && i < field; i++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static bool read_text(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    size_t n = fread(out, 1, size - 1, f);
    out[n] = 0;
    fclose(f);
    return n > 0;
}

static uint64_t open_fds(void) {
    uint64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d) return 0;
    for (const struct dirent *entry; (entry = readdir(d));)
        n += entry->d_name[0] != '.';
    closedir(d);
    return n ? n - 1 : 0; /* without that of the folder */
}

/* Since 1970, from ticks since the machine started. */
static uint64_t start_us(uint64_t ticks, uint64_t hz) {
    struct timespec wall, up;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &up);
    uint64_t now = (uint64_t)wall.tv_sec * 1000000 + (uint64_t)wall.tv_nsec / 1000;
    uint64_t since = (uint64_t)up.tv_sec * 1000000 + (uint64_t)up.tv_nsec / 1000;
    return now - since + ticks * (1000000 / hz);
}

static void put_process(ln_exposition *e) {
    char text[1024];
    struct rlimit most = { 0, 0 };
    uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK), page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!read_text("/proc/self/stat", text, sizeof text)) return;
    getrlimit(RLIMIT_NOFILE, &most);
    ln_family(e, "process_cpu_seconds", "counter", "CPU time, user and system.");
    ln_sample_seconds(e, (stat_field(text, 14) + stat_field(text, 15)) * (1000000 / hz));
    gauge(e, "process_resident_memory_bytes", "Memory in use.", stat_field(text, 24) * page);
    gauge(e, "process_virtual_memory_bytes", "Address space.", stat_field(text, 23));
    gauge(e, "process_open_fds", "Open descriptors.", open_fds());
    gauge(e, "process_max_fds", "The limit of them.", most.rlim_cur);
    ln_family(e, "process_start_time_seconds", "gauge", "When the process started.");
    ln_sample_seconds(e, start_us(stat_field(text, 22), hz));
}

int ln_metrics_put(ln_buf *out, const ln_metrics *m, bool openmetrics) {
    ln_exposition e = { .out = out, .open = openmetrics };
    ln_family(&e, "linnet_build_info", "gauge", "1; what is running.");
    ln_sample(&e, "version", linnet_version(), 1);
    put_server(&e, m);
    put_memory(&e, m);
    put_hub(&e, m);
    put_webhooks(&e, m);
    put_jwks(&e, m);
    put_measure(&e, m, LINNET_MEASURE_DELIVERY, "linnet_publish_duration_seconds",
        "From a publish until a worker had queued it for its subscribers; one in eight is timed.");
    put_measure(&e, m, LINNET_MEASURE_SOCKET, "linnet_publish_socket_seconds",
        "From a publish until sockets had been given what they would take; the same ones.");
    put_measure(&e, m, LINNET_MEASURE_WAIT, "linnet_send_wait_seconds",
        "How long what a socket did not take at once has waited for it.");
    put_measure(&e, m, LINNET_MEASURE_WEBHOOK, "linnet_webhook_duration_seconds",
        "Requests to webhooks, from sending to the end of the answer.");
    put_measure(&e, m, LINNET_MEASURE_RTT, "linnet_rtt_seconds", "Round trip of WebSocket pings.");
    put_lag(&e, m);
    put_process(&e);
    if (openmetrics && e.err == LINNET_OK) e.err = ln_buf_add(out, LN_SLICE("# EOF\n"));
    return e.err;
}
