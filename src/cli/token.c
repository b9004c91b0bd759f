/* token.c -- `linnet token`: tokens by hand, to try things and to look into them. */
#include "base/json.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include "daemon/args.h"
#include "daemon/tokenkey.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLAIMS_MAX 8192

/* ---- mint --------------------------------------------------------------------------- */

typedef struct mint {
    const char *key, *secret, *kid;
    const char *sub, *iss, *aud, *info, *channel;
    ln_arg_list subscribe, publish, presence, history, channels, subs, claims;
    uint64_t lasts; /* seconds */
} mint;

static void put_text(ln_json_writer *w, const char *name, const char *text) {
    if (!text) return;
    ln_json_key(w, name);
    ln_json_str(w, ln_slice_str(text));
}

static void put_list(ln_json_writer *w, const char *name, const ln_arg_list *list) {
    if (!list->count) return;
    ln_json_key(w, name);
    ln_json_open(w, '[');
    for (size_t i = 0; i < list->count; i++)
        ln_json_str(w, ln_slice_str(list->items[i]));
    ln_json_close(w, ']');
}

static bool put_json(ln_json_writer *w, const char *name, const char *text) {
    ln_json_value value;
    if (ln_json_check(ln_slice_str(text), &value) < 0) {
        ln_say("'%.100s' is no JSON", text);
        return false;
    }
    ln_json_key(w, name);
    ln_json_raw(w, value.raw);
    return true;
}

/* "role=\"admin\"" */
static bool put_claim(ln_json_writer *w, const char *text) {
    char name[64];
    size_t size = strcspn(text, "=");
    if (!text[size] || !size || size >= sizeof name || strcspn(text, "\"\\") < size) {
        ln_say("--claim wants NAME=JSON, not '%.100s'", text);
        return false;
    }
    memcpy(name, text, size);
    name[size] = 0;
    return put_json(w, name, text + size + 1);
}

static bool put_claims(const mint *m, ln_buf *out) {
    ln_json_writer w = ln_json_begin(out);
    uint64_t now = (uint64_t)time(NULL);
    ln_json_open(&w, '{');
    put_text(&w, "sub", m->sub);
    put_text(&w, "iss", m->iss);
    put_text(&w, "aud", m->aud);
    put_text(&w, "channel", m->channel);
    ln_json_key(&w, "iat");
    ln_json_u64(&w, now);
    ln_json_key(&w, "exp");
    ln_json_u64(&w, now + m->lasts);
    put_list(&w, "subscribe", &m->subscribe);
    put_list(&w, "publish", &m->publish);
    put_list(&w, "presence", &m->presence);
    put_list(&w, "history", &m->history);
    put_list(&w, "channels", &m->channels);
    put_list(&w, "subs", &m->subs);
    if (m->info && !put_json(&w, "info", m->info)) return false;
    for (size_t i = 0; i < m->claims.count; i++)
        if (!put_claim(&w, m->claims.items[i])) return false;
    ln_json_close(&w, '}');
    if (ln_json_end(&w) == LINNET_OK) return true;
    ln_say("the claims are too long");
    return false;
}

static int sign(const mint *m, ln_slice claims) {
    char token[LINNET_TOKEN_MAX + 1];
    ln_tokenkey k;
    const char *why = "", *file = m->secret ? m->secret : m->key;
    if (!ln_tokenkey_read(&k, file, m->secret != NULL, true)) return 1;
    linnet_key key = ln_tokenkey_as(&k, m->secret != NULL);
    key.kid = m->kid;
    int err = linnet_token_sign(&key, claims, token, &why);
    if (err == LINNET_OK)
        puts(token);
    else
        ln_say("%.200s: %s", k.path, *why ? why : linnet_strerror(err));
    ln_tokenkey_free(&k);
    return err == LINNET_OK ? 0 : 1;
}

static int verb_mint(int argc, char **argv) {
    mint m = { .lasts = 3600 };
    const ln_arg rows[] = {
        { "secret", "[ALG:]FILE", LN_ARG_TEXT, &m.secret, 0, 0, "sign with the secret in a file" },
        { "key", "[ALG:]FILE", LN_ARG_TEXT, &m.key, 0, 0, "sign with a PEM private key" },
        { "kid", "K", LN_ARG_TEXT, &m.kid, 0, 0, "name of the key, for the header" },
        { "sub", "USER", LN_ARG_TEXT, &m.sub, 0, 0, "the user" },
        { "lasts", "S", LN_ARG_NUMBER, &m.lasts, 1, 3153600000, "seconds (default 3600)" },
        { "iss", "ISS", LN_ARG_TEXT, &m.iss, 0, 0, "the issuer" },
        { "aud", "AUD", LN_ARG_TEXT, &m.aud, 0, 0, "the audience" },
        { "info", "JSON", LN_ARG_TEXT, &m.info, 0, 0, "what others are told about the user" },
        { "subscribe", "P", LN_ARG_LIST, &m.subscribe, 0, 0,
            "channel, or channels that begin so (news:*), to listen to; repeat" },
        { "publish", "P", LN_ARG_LIST, &m.publish, 0, 0, "likewise, to publish in" },
        { "presence", "P", LN_ARG_LIST, &m.presence, 0, 0, "likewise, to see who is there" },
        { "history", "P", LN_ARG_LIST, &m.history, 0, 0, "likewise, to read what was said" },
        { "channels", "P", LN_ARG_LIST, &m.channels, 0, 0, "likewise, all four" },
        { "subs", "C", LN_ARG_LIST, &m.subs, 0, 0, "channel the user is put into; repeat" },
        { "channel", "C", LN_ARG_TEXT, &m.channel, 0, 0,
            "a token for `subscribe` to this one channel, and for nothing else" },
        { "claim", "NAME=JSON", LN_ARG_LIST, &m.claims, 0, 0, "any other claim; repeat" },
    };
    const ln_args a = { .usage = "linnet token mint --secret FILE --sub USER [options]",
        .about = "Prints a signed token for `linnet serve` (JWT).",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  openssl rand -base64 32 >secret && chmod 600 secret\n"
                "  linnet token mint --secret secret --sub anna --subs news\n"
                "  linnet token mint --key PS256:rsa.pem --kid 2026 --sub anna --lasts 300\n"
                "\n"
                "exit codes: 0 done; 1 no token; 2 wrong use" };
    int code = ln_args_parse(&a, argc, argv, NULL);
    if (code >= 0) return code;
    if (!m.key == !m.secret) {
        ln_say("token mint wants --secret or --key: what to sign with");
        return 2;
    }
    ln_buf claims;
    ln_buf_init(&claims, CLAIMS_MAX);
    code = put_claims(&m, &claims) ? sign(&m, ln_buf_slice(&claims)) : 2;
    ln_buf_fini(&claims);
    return code;
}

/* ---- verify ------------------------------------------------------------------------- */

typedef struct verify {
    ln_arg_list keys, secrets, issuers, audiences;
} verify;

static bool take_keys(const verify *v, linnet_keys *keys) {
    for (size_t i = 0; i < v->keys.count; i++)
        if (!ln_tokenkey_add(keys, v->keys.items[i], false, true)) return false;
    for (size_t i = 0; i < v->secrets.count; i++)
        if (!ln_tokenkey_add(keys, v->secrets.items[i], true, true)) return false;
    return true;
}

static int check(const verify *v, const linnet_keys *keys, ln_slice token) {
    char claims[LINNET_TOKEN_MAX];
    size_t size = 0;
    const char *why = "";
    linnet_token_policy p = LINNET_TOKEN_POLICY_INIT;
    if (v->issuers.count) p.issuers = v->issuers.items;
    if (v->audiences.count) p.audiences = v->audiences.items;
    int err = linnet_token_check(keys, &p, token, claims, &size, &why);
    if (err < 0) {
        ln_say("this token would be refused: %s", *why ? why : linnet_strerror(err));
        return 1;
    }
    ln_term_text(stdout, ln_slice_of(claims, size));
    putchar('\n');
    return 0;
}

/* A token that stands in a command line can be read by others. */
static ln_slice from_stdin(char text[LINNET_TOKEN_MAX + 2]) {
    size_t size = fread(text, 1, LINNET_TOKEN_MAX + 2, stdin);
    while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    return ln_slice_of(text, size);
}

static int verb_verify(int argc, char **argv) {
    verify v = { .keys.count = 0 };
    int count = 0;
    const ln_arg rows[] = {
        { "secret", "[ALG:]FILE", LN_ARG_LIST, &v.secrets, 0, 0, "check with a secret; repeat" },
        { "key", "[ALG:]FILE", LN_ARG_LIST, &v.keys, 0, 0,
            "check with public keys, PEM or JSON (JWK); repeat" },
        { "iss", "ISS", LN_ARG_LIST, &v.issuers, 0, 0, "one of these is wanted; repeat" },
        { "aud", "AUD", LN_ARG_LIST, &v.audiences, 0, 0, "one of these is wanted; repeat" },
    };
    const ln_args a = { .usage = "linnet token verify --key FILE [TOKEN]",
        .about =
            "Checks a token as `linnet serve` would, and prints its claims. Without TOKEN, or\n"
            "for -, it is read from stdin.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "exit codes: 0 a good one; 1 it would be refused; 2 wrong use" };
    int code = ln_args_parse(&a, argc, argv, &count);
    if (code >= 0) return code;
    if (count > 1 || v.keys.count + v.secrets.count == 0) {
        ln_say(count > 1 ? "token verify takes one token" : "token verify wants --key or --secret");
        return 2;
    }
    char text[LINNET_TOKEN_MAX + 2];
    bool piped = !count || strcmp(argv[1], "-") == 0;
    ln_slice token = piped ? from_stdin(text) : ln_slice_str(argv[1]);
    linnet_keys *keys;
    if (linnet_keys_new(&keys) < 0) return 1;
    code = take_keys(&v, keys) ? check(&v, keys, token) : 1;
    linnet_keys_free(keys);
    return code;
}

int ln_verb_token(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "mint") == 0) return verb_mint(argc - 1, argv + 1);
    if (strcmp(what, "verify") == 0) return verb_verify(argc - 1, argv + 1);
    const ln_args a = { .usage = "linnet token mint|verify [options]",
        .about = "Makes and checks the tokens that clients log in with (JWT).",
        .more =
            "linnet token mint --secret FILE|--key FILE --sub USER [--lasts S] [--info JSON]\n"
            "  [--subscribe P]... [--publish P]... [--presence P]... [--history P]...\n"
            "  [--channels P]... [--subs C]... [--channel C] [--claim NAME=JSON]...\n"
            "  [--iss ISS] [--aud AUD] [--kid K]\n"
            "                          prints a signed token; --help tells what each means\n"
            "linnet token verify --secret FILE|--key FILE [--iss ISS] [--aud AUD] [TOKEN]\n"
            "                          checks it as `linnet serve` would, and prints its claims\n"
            "\n"
            "A FILE may be ALG:FILE where its key could do more than one thing, PS256:rsa.pem.\n"
            "\n"
            "examples:\n"
            "  openssl rand -base64 32 >secret && chmod 600 secret\n"
            "  linnet token mint --secret secret --sub anna --subs news >token\n"
            "  linnet token verify --secret secret <token" };
    int code = ln_args_parse(&a, argc > 1 ? 2 : 1, argv, NULL);
    if (code >= 0) return code;
    ln_say("token wants to know what to do: linnet token mint, or linnet token verify");
    return 2;
}
