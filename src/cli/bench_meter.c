#include "cli/bench_meter.h"

#include <math.h>
#include <string.h>

static const struct percentile {
    double percent;
    const char *words, *key;
} percentiles[] = {
    { 50, "p50", "p50_us" },
    { 90, "p90", "p90_us" },
    { 99, "p99", "p99_us" },
    { 99.9, "p99.9", "p99_9_us" },
    { 99.99, "p99.99", "p99_99_us" },
    { 100, "max", "max_us" },
};
enum { PERCENTILES = sizeof percentiles / sizeof percentiles[0] };

bool ln_bench_meter_init(ln_bench_meter *m, const ln_bench_options *o) {
    memset(m, 0, sizeof *m);
    m->o = o;
    if (!o->pid) return true;
    m->resident_before = ln_bench_resident(o->pid);
    if (ln_bench_usage_take(o->pid, &m->before)) return true;
    fprintf(
        stderr, "linnet bench: there is no process %llu to look at\n", (unsigned long long)o->pid);
    return false;
}

static void measure(ln_bench_meter *m, uint64_t now_ns) {
    m->phase = LN_BENCH_MEASURING;
    m->start_ns = now_ns;
    m->end_ns = m->o->count ? UINT64_MAX : now_ns + (uint64_t)(m->o->duration_s * 1e9);
    m->messages = m->payload = 0;
    ln_bench_hist_reset(&m->latency);
    if (m->o->pid) ln_bench_usage_take(m->o->pid, &m->before);
    m->own_start_ns = ln_bench_own_cpu_ns();
}

static void done(ln_bench_meter *m, uint64_t now_ns) {
    m->phase = LN_BENCH_DONE;
    m->stop_ns = now_ns;
    m->own_cpu_ns = ln_bench_own_cpu_ns() - m->own_start_ns;
    if (!m->o->pid) return;
    if (!ln_bench_usage_take(m->o->pid, &m->after)) m->after = m->before;
    m->resident = ln_bench_resident(m->o->pid);
}

void ln_bench_meter_start(ln_bench_meter *m, uint64_t now_ns) {
    m->warm_end_ns = now_ns + (uint64_t)(m->o->warmup_s * 1e9);
    if (m->o->warmup_s <= 0 || m->o->kind == LN_BENCH_IDLE) measure(m, now_ns);
}

bool ln_bench_meter_goes_on(ln_bench_meter *m, uint64_t now_ns) {
    if (m->phase == LN_BENCH_WARMING && now_ns >= m->warm_end_ns) {
        measure(m, now_ns);
    } else if (m->phase == LN_BENCH_MEASURING) {
        bool counted = m->o->count && m->messages >= m->o->count;
        if (counted || now_ns >= m->end_ns) done(m, now_ns);
    }
    return m->phase != LN_BENCH_DONE;
}

/* -- what it means ------------------------------------------------------- */

typedef struct figures {
    double seconds, rate, load_share;
    double cpu_ns, user_share; /* NAN: not known */
    double payload, ratio;     /* bytes back per message; of zlib's; NAN: not compressed */
    double per_connection;     /* resident bytes; NAN */
} figures;

static figures figure(const ln_bench_meter *m) {
    figures f = { .cpu_ns = NAN, .user_share = NAN, .ratio = NAN, .per_connection = NAN };
    double n = (double)m->messages;
    f.seconds = (double)(m->stop_ns - m->start_ns) / 1e9;
    f.rate = f.seconds > 0 ? n / f.seconds : 0;
    f.load_share = f.seconds > 0 ? (double)m->own_cpu_ns / 1e9 / f.seconds : 0;
    f.payload = n > 0 ? (double)m->payload / n : 0;
    if (m->baseline > 0 && n > 0) f.ratio = f.payload / m->baseline;
    if (!m->o->pid) return f;

    if (n > 0) f.cpu_ns = (double)(m->after.cpu_ns - m->before.cpu_ns) / n;
    double user = (double)(m->after.user_ticks - m->before.user_ticks);
    double all = user + (double)(m->after.system_ticks - m->before.system_ticks);
    if (all > 0) f.user_share = user / all;
    if (m->o->kind == LN_BENCH_IDLE && m->resident)
        f.per_connection = ((double)m->resident - (double)m->resident_before) /
                           (double)m->o->connections;
    return f;
}

static const char *body_name(const ln_bench_options *o) {
    static const char *const names[] = { "text", "binary", "non-ascii" };
    return names[o->body];
}

static const char *deflate_name(const ln_bench_options *o) {
    static const char *const names[] = { "off", "takeover", "no-takeover" };
    return names[o->deflate];
}

/* -- the table ----------------------------------------------------------- */

static void print_setting(const ln_bench_meter *m, const figures *f) {
    const ln_bench_options *o = m->o;
    printf("linnet bench %s %s\n", ln_bench_kind_name(o->kind), o->url);
    printf("  %llu connections", (unsigned long long)o->connections);
    if (o->kind != LN_BENCH_CONNECT)
        printf(", %llu B %s", (unsigned long long)o->size, body_name(o));
    if (o->in_flight > 1) printf(", %llu in flight", (unsigned long long)o->in_flight);
    if (o->deflate) printf(", deflate %s", deflate_name(o));
    if (o->kind == LN_BENCH_FANOUT)
        printf(", %llu topics, bursts of %llu", (unsigned long long)o->topics,
            (unsigned long long)o->burst);
    printf("; %.1f s\n\n", f->seconds);
}

static void print_latency(const ln_bench_meter *m) {
    if (m->latency.total == 0) return;
    printf("  %-12s", "latency us");
    for (int i = 0; i < PERCENTILES; i++)
        printf(" %s %.1f", percentiles[i].words,
            (double)ln_bench_hist_percentile(&m->latency, percentiles[i].percent) / 1e3);
    puts("");
}

static void print_server(const ln_bench_meter *m, const figures *f) {
    if (!m->o->pid) return;
    printf("  %-12s", "server");
    if (m->o->kind != LN_BENCH_IDLE && isfinite(f->cpu_ns))
        printf(" %.0f ns CPU per message,", f->cpu_ns);
    if (isfinite(f->user_share)) printf(" %.0f %% of its time in user space,", f->user_share * 100);
    printf(" %.1f MiB resident\n", (double)m->resident / 1048576);
    if (isfinite(f->per_connection))
        printf("  %-12s %.0f B resident per connection\n", "idle", f->per_connection);
}

static void print_table(const ln_bench_meter *m, const char *what, const figures *f) {
    print_setting(m, f);
    printf("  %-12s %llu, %.0f per second\n", what, (unsigned long long)m->messages, f->rate);
    print_latency(m);
    print_server(m, f);
    if (m->o->deflate && m->o->kind == LN_BENCH_ECHO)
        printf("  %-12s %.1f B per message, %.3f of what zlib makes at level 6\n", "replies",
            f->payload, f->ratio);
    printf("  %-12s %.0f %% of a core; %llu messages compared\n", "load", f->load_share * 100,
        (unsigned long long)m->verified);
}

/* -- JSON ---------------------------------------------------------------- */

static void json_string(const char *s) {
    putchar('"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 32)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void json_number(const char *key, double value) {
    if (isfinite(value))
        printf(",\"%s\":%.6g", key, value);
    else
        printf(",\"%s\":null", key);
}

static void json_count(const char *key, uint64_t value) {
    printf(",\"%s\":%llu", key, (unsigned long long)value);
}

static void print_json(const ln_bench_meter *m, const char *what, const figures *f) {
    const ln_bench_options *o = m->o;
    printf("{\"bench\":\"%s\",\"url\":", ln_bench_kind_name(o->kind));
    json_string(o->url);
    printf(
        ",\"unit\":\"%s\",\"body\":\"%s\",\"deflate\":\"%s\"", what, body_name(o), deflate_name(o));
    json_count("connections", o->connections);
    json_count("size", o->size);
    json_count("in_flight", o->in_flight);
    json_count("topics", o->topics);
    json_count("burst", o->burst);
    json_number("seconds", f->seconds);
    json_count("messages", m->messages);
    json_number("rate", f->rate);
    for (int i = 0; i < PERCENTILES; i++)
        json_number(percentiles[i].key,
            (double)ln_bench_hist_percentile(&m->latency, percentiles[i].percent) / 1e3);
    json_number("server_cpu_ns", f->cpu_ns);
    json_number("server_user_share", f->user_share);
    json_count("server_resident", m->resident);
    json_count("server_resident_before", m->resident_before);
    json_number("resident_per_connection", f->per_connection);
    json_number("reply_bytes", f->payload);
    json_number("reply_zlib6_ratio", f->ratio);
    json_number("load_cpu_share", f->load_share);
    json_count("verified", m->verified);
    puts("}");
}

void ln_bench_meter_report(const ln_bench_meter *m, const char *what) {
    figures f = figure(m);
    if (m->o->json)
        print_json(m, what, &f);
    else
        print_table(m, what, &f);
    fflush(stdout);
}
