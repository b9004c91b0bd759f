/* namespace.h -- what a channel is like, by the first part of its name.
 *
 * The namespace of `chat:lobby` is `chat`, that of `@anna` is `@`; a channel without a colon, or
 * whose first part nobody declared, is of the default one, whose name is empty. It is looked up
 * once per channel and home. A table is immutable and shared by the hubs of a node: a reload makes
 * another one and gives it to each hub.
 */
#ifndef LN_HUB_NAMESPACE_H
#define LN_HUB_NAMESPACE_H
#include "base/err.h"
#include "base/ref.h"
#include "base/slice.h"

#define LN_NAMESPACE_NAME_MAX 64
#define LN_NAMESPACES_MAX     256

/* GUARANTEES.md 3.2. */
typedef enum ln_class { LN_CLASS_LIVE, LN_CLASS_RECOVERABLE } ln_class;

/* What becomes of publications for a reader who does not keep up. */
typedef enum ln_slow {
    LN_SLOW_DISCONNECT,     /* they wait, and when they are too many he is closed, to resume */
    LN_SLOW_DROP_OLDEST,    /* the oldest that wait go */
    LN_SLOW_DROP_NEWEST,    /* those that come go */
    LN_SLOW_LATEST_PER_KEY, /* of each event name only the last waits; then the oldest go */
} ln_slow;

/* How much of a log can be read again. */
typedef struct ln_retention {
    uint32_t count, age_ms, bytes; /* each at least 1 */
} ln_retention;
#define LN_RETENTION_INIT                                                                          \
    { 100, 300 * 1000, 1024 * 1024 }

/* Who may do something in a channel. */
typedef enum ln_rule {
    LN_RULE_DEFAULT, /* as authenticated */
    LN_RULE_NOBODY,
    LN_RULE_ANYONE, /* also who has not logged in */
    LN_RULE_AUTHENTICATED,
    LN_RULE_SUBSCRIBERS, /* who is in the channel */
    LN_RULE_TOKEN,       /* whose token says so */
} ln_rule;

typedef enum ln_act {
    LN_ACT_SUBSCRIBE,
    LN_ACT_PUBLISH,
    LN_ACT_PRESENCE,
    LN_ACT_HISTORY,
    LN_ACTS
} ln_act;

typedef struct ln_namespace {
    char name[LN_NAMESPACE_NAME_MAX + 1]; /* letters, digits, _ . -; or "@"; or "" */
    uint8_t class;                        /* ln_class */
    ln_retention history;                 /* of class recoverable */
    uint8_t allow[LN_ACTS];               /* ln_rule, by ln_act */
    bool members;                         /* who is there is kept, and told */
    uint8_t slow;                         /* ln_slow */
    uint16_t batch_ms;                    /* batch.h; 0: off */
} ln_namespace;

typedef struct ln_namespaces {
    ln_ref refs;
    uint32_t count;
    ln_namespace items[]; /* the default one first, the others by name */
} ln_namespaces;

/* Copies and orders them; what is not there of the default one is `standard`. One reference.
 * LINNET_ERR_INVAL: a name that is none; LINNET_ERR_EXISTS: one twice; LINNET_ERR_LIMIT;
 * LINNET_ERR_NOMEM. */
int ln_namespaces_new(
    const ln_namespace *items, size_t count, const ln_namespace *standard, ln_namespaces **out);
static inline void ln_namespaces_ref(ln_namespaces *n) {
    ln_ref_get(&n->refs, 1);
}
/* NULL is allowed. */
void ln_namespaces_unref(ln_namespaces *n);
/* Whether any of them keeps a log. */
bool ln_namespaces_recoverable(const ln_namespaces *n);
/* Never NULL. */
const ln_namespace *ln_namespace_of(const ln_namespaces *n, ln_slice channel);
#endif
