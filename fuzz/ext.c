/* Extensions: the verdict on the grammar agrees with an automaton that knows nothing but the
 * grammar; an agreement keeps to the policy and is taken by a client that made that offer;
 * several fields are one list. */
#include "wire/ext.h"
#include "fuzz.h"

/* ---- the plain automaton ----------------------------------------------------------- */

static bool tchar(int c) {
    if (c > 0 && strchr("!#$%&'*+-.^_`|~", c)) return true;
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* The grammar as a walk over states: a name wanted, in it, behind it, and so on. */
static bool grammatical(ln_slice s) {
    enum { WANT, WORD, PAST, EQUALS, VALUE, PAST_VALUE, QUOTE, QUOTED, ESCAPE } at = WANT;
    bool param = false;
    for (size_t i = 0; i < s.size; i++) {
        int c = s.data[i];
        bool blank = c == ' ' || c == '\t';
        if (at == WORD && blank) at = PAST;
        if (at == VALUE && blank) at = PAST_VALUE;
        if (blank && (at == WANT || at == PAST || at == EQUALS || at == PAST_VALUE)) continue;
        switch (at) {
        case WANT:
            if (!tchar(c)) return false;
            at = WORD;
            break;
        case WORD:
            if (tchar(c)) break;
            __attribute__((fallthrough));
        case PAST:
            if (c != ';' && c != ',' && (c != '=' || !param)) return false;
            at = c == '=' ? EQUALS : WANT;
            if (c != '=') param = c == ';';
            break;
        case EQUALS:
            if (c != '"' && !tchar(c)) return false;
            at = c == '"' ? QUOTE : VALUE;
            break;
        case VALUE:
            if (tchar(c)) break;
            __attribute__((fallthrough));
        case PAST_VALUE:
            if (c != ';' && c != ',') return false;
            param = c == ';';
            at = WANT;
            break;
        case QUOTE:
        case QUOTED:
            if (c == '"' && at == QUOTED)
                at = PAST_VALUE;
            else if (c == '\\')
                at = ESCAPE;
            else if (tchar(c))
                at = QUOTED;
            else
                return false;
            break;
        case ESCAPE:
            if (!tchar(c)) return false;
            at = QUOTED;
        }
    }
    return at == WORD || at == PAST || at == VALUE || at == PAST_VALUE;
}

/* ---- the bargain ------------------------------------------------------------------- */

static void head_of(ln_http1_head *h, const ln_slice *values, uint32_t count) {
    h->count = count;
    for (uint32_t i = 0; i < count; i++)
        h->fields[i] = (ln_http1_field){ LN_SLICE("sec-websocket-extensions"), values[i] };
}

static void server(const ln_pmd_policy *policy, const ln_http1_head *request, bool good) {
    ln_pmd_params p, q;
    ln_pmd_text answer;
    int agreed = ln_pmd_accept(policy, request, &p, &answer);
    FUZZ_REQUIRE((agreed < 0) == !good && agreed <= policy->enabled);
    if (agreed <= 0) return;
    FUZZ_REQUIRE(p.server_bits >= 9 && p.server_bits <= policy->server_bits_max);
    FUZZ_REQUIRE(p.client_bits >= 8 && p.client_bits <= 15);
    FUZZ_REQUIRE(p.server_no_takeover || policy->server_takeover);
    FUZZ_REQUIRE(p.client_no_takeover || policy->client_takeover);
    FUZZ_REQUIRE(answer.size == strlen(answer.data) && ln_http1_is_value(ln_pmd_slice(&answer)));

    /* A client that offered without limits takes whatever came of it, but for 8. */
    ln_http1_head response;
    ln_slice text = ln_pmd_slice(&answer);
    head_of(&response, &text, 1);
    int taken = ln_pmd_verify(&LN_PMD_POLICY_CLIENT, &response, &q);
    FUZZ_REQUIRE(taken == (p.client_bits == 8 ? LINNET_ERR_UPGRADE_EXTENSION : 1));
    if (taken != 1) return;
    FUZZ_REQUIRE(q.client_bits == p.client_bits && q.server_bits >= p.server_bits);
    FUZZ_REQUIRE(q.server_no_takeover == p.server_no_takeover);
    FUZZ_REQUIRE(q.client_no_takeover == p.client_no_takeover);
}

static void client(const ln_pmd_policy *policy, const ln_http1_head *response, bool good) {
    ln_pmd_params p;
    int err = ln_pmd_verify(policy, response, &p);
    if (!good) FUZZ_REQUIRE(err == LINNET_ERR_UPGRADE_HEADER);
    if (err != 1) {
        FUZZ_REQUIRE(err == LINNET_ERR_UPGRADE_HEADER || err == LINNET_ERR_UPGRADE_EXTENSION);
        return;
    }
    FUZZ_REQUIRE(policy->enabled);
    FUZZ_REQUIRE(p.server_bits >= 8 && p.server_bits <= policy->server_bits_max);
    FUZZ_REQUIRE(p.client_bits >= 9 && p.client_bits <= policy->client_bits_max);
    FUZZ_REQUIRE(p.server_no_takeover || policy->server_takeover);
}

void fuzz_one(ln_slice in) {
    uint8_t choice = fuzz_choice(&in), bits = fuzz_choice(&in);
    ln_pmd_policy policy = { choice & 1, choice & 2, choice & 4, (uint8_t)(9 + bits % 7),
        (uint8_t)(9 + bits / 7 % 7) };
    ln_slice values[16], part;
    uint32_t count = 0;
    bool good = true;
    while (count < 16 && ln_slice_cut(&in, '\n', &part)) {
        values[count++] = part;
        good = good && grammatical(part);
    }
    ln_http1_head h;
    head_of(&h, values, count);
    FUZZ_REQUIRE(ln_ext_ok(&h) == good);
    server(&policy, &h, good);
    if (count == 1) client(&policy, &h, good);
}
