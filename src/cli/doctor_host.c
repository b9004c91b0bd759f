#include "base/num.h"
#include "cli/doctor.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

/* The numbers of a file of /proc/sys. How many there were, at most three. */
static int read_numbers(const char *proc, const char *name, uint64_t out[3]) {
    char path[512], text[128];
    snprintf(path, sizeof path, "%s/sys/%s", proc, name);
    FILE *f = fopen(path, "re");
    size_t size = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    int count = 0;
    for (size_t at = 0; at < size && count < 3;) {
        size_t end = at;
        while (end < size && text[end] != ' ' && text[end] != '\t' && text[end] != '\n')
            end++;
        if (end > at && ln_num_u64(ln_slice_of(text + at, end - at), UINT64_MAX, &out[count]))
            count++;
        at = end + 1;
    }
    return count;
}

static void check_descriptors(ln_doctor *d) {
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0) return;
    uint64_t most = l.rlim_max; /* serve raises its own to that */
    uint64_t room = most > 256 ? most - 256 : 0;
    ln_finding how = most < 1024 ? LN_FAIL : most < 65536 ? LN_WARN : LN_FINE;
    ln_found(d, how, "descriptors", "LimitNOFILE=1048576 in the unit, or ulimit -n",
        "%" PRIu64 ": room for %" PRIu64 " connections", most, room);
}

static void check_somaxconn(ln_doctor *d, const char *proc) {
    uint64_t n[3];
    if (read_numbers(proc, "net/core/somaxconn", n) < 1) return;
    ln_found(d, n[0] < 1024 ? LN_WARN : LN_FINE, "somaxconn", "sysctl net.core.somaxconn=4096",
        "%" PRIu64 " handshakes may wait to be accepted", n[0]);
}

static void check_tcp_mem(ln_doctor *d, const char *proc) {
    uint64_t n[3];
    if (read_numbers(proc, "net/ipv4/tcp_mem", n) < 3) return;
    uint64_t mib = n[2] * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
    ln_found(d, mib < 128 ? LN_WARN : LN_FINE, "tcp_mem",
        "sysctl net.ipv4.tcp_mem: connections are dropped when TCP has no memory",
        "TCP may use %" PRIu64 " MiB", mib);
}

static void check_conntrack(ln_doctor *d, const char *proc) {
    uint64_t max[3], count[3];
    if (read_numbers(proc, "net/netfilter/nf_conntrack_max", max) < 1 ||
        read_numbers(proc, "net/netfilter/nf_conntrack_count", count) < 1) {
        ln_found(d, LN_FINE, "conntrack", NULL, "the firewall counts no connections");
        return;
    }
    uint64_t percent = max[0] ? count[0] * 100 / max[0] : 100;
    ln_found(d,
        percent >= 95                     ? LN_FAIL
        : percent >= 70 || max[0] < 65536 ? LN_WARN
                                          : LN_FINE,
        "conntrack",
        "sysctl net.netfilter.nf_conntrack_max: new connections are dropped when it is full",
        "%" PRIu64 " of %" PRIu64 " connections that the firewall counts", count[0], max[0]);
}

static void check_clock(ln_doctor *d) {
    struct timex t = { .modes = 0 };
    struct tm tm;
    time_t now = time(NULL);
    char text[32] = "";
    if (gmtime_r(&now, &tm)) strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    bool early = now < 1735689600; /* 2025 */
    bool synced = adjtimex(&t) >= 0 && !(t.status & STA_UNSYNC);
    ln_found(d,
        early    ? LN_FAIL
        : synced ? LN_FINE
                 : LN_WARN,
        "clock", "systemd-timesyncd or chrony: tokens and certificates are judged by the clock",
        "%s UTC, %s", text,
        synced ? "kept by a time service" : "no time service is known to keep it");
}

void ln_doctor_host(ln_doctor *d, const char *proc) {
    check_descriptors(d);
    check_somaxconn(d, proc);
    check_tcp_mem(d, proc);
    check_conntrack(d, proc);
    check_clock(d);
}

void ln_doctor_file(ln_doctor *d, const char *what, const char *path, bool secret) {
    struct stat st;
    if (stat(path, &st) != 0) {
        ln_found(d, LN_FAIL, what, "name another, or make it readable for the server's user",
            "%.300s: %s", path, strerror(errno));
        return;
    }
    unsigned mode = st.st_mode & 0777u;
    if (secret && (mode & 07u))
        ln_found(d, LN_FAIL, what, "chmod 0640, or 0600",
            "%.300s has mode %03o: everybody may use it", path, mode);
    else if (mode & 022u)
        ln_found(d, LN_FAIL, what, "chmod go-w", "%.300s has mode %03o: others may change it", path,
            mode);
    else
        ln_found(d, LN_FINE, what, NULL, "%.300s has mode %03o", path, mode);
}
