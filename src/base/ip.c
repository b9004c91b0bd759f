#include "base/ip.h"
#include "base/num.h"
#include <arpa/inet.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

ln_ip ln_ip_of_v4(const uint8_t bytes[4]) {
    ln_ip ip;
    memcpy(ip.bytes, mapped, 12);
    memcpy(ip.bytes + 12, bytes, 4);
    return ip;
}

ln_ip ln_ip_of_v6(const uint8_t bytes[16]) {
    ln_ip ip;
    memcpy(ip.bytes, bytes, 16);
    return ip;
}

bool ln_ip_is_v4(const ln_ip *ip) {
    return memcmp(ip->bytes, mapped, 12) == 0;
}

bool ln_ip_is_loopback(const ln_ip *ip) {
    static const uint8_t one[16] = { [15] = 1 };
    return ln_ip_is_v4(ip) ? ip->bytes[12] == 127 : memcmp(ip->bytes, one, 16) == 0;
}

bool ln_ip_parse(ln_slice text, ln_ip *out) {
    char copy[LN_IP_TEXT];
    uint8_t bytes[16];
    if (text.size == 0 || text.size >= sizeof copy || ln_slice_find(text, 0) != SIZE_MAX)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    if (inet_pton(AF_INET, copy, bytes) == 1)
        *out = ln_ip_of_v4(bytes);
    else if (inet_pton(AF_INET6, copy, bytes) == 1)
        *out = ln_ip_of_v6(bytes);
    else
        return false;
    return true;
}

size_t ln_ip_text(const ln_ip *ip, char out[LN_IP_TEXT]) {
    bool v4 = ln_ip_is_v4(ip);
    inet_ntop(v4 ? AF_INET : AF_INET6, ip->bytes + (v4 ? 12 : 0), out, LN_IP_TEXT);
    return strlen(out);
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0) return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static ln_ip first_of(const ln_ip *ip, unsigned bits) {
    ln_ip net = { { 0 } };
    memcpy(net.bytes, ip->bytes, bits / 8);
    if (bits % 8) net.bytes[bits / 8] = (uint8_t)(ip->bytes[bits / 8] & (0xff00u >> (bits % 8)));
    return net;
}

ln_ip ln_ip_subscriber(const ln_ip *ip) {
    return ln_ip_is_v4(ip) ? *ip : first_of(ip, 64);
}

bool ln_cidr_parse(ln_slice text, ln_cidr *out) {
    ln_cidr net = { .bits = 128 };
    uint64_t bits;
    size_t slash = ln_slice_find(text, '/');
    ln_slice host = slash == SIZE_MAX ? text : ln_slice_sub(text, 0, slash);
    if (!ln_ip_parse(host, &net.ip)) return false;
    if (slash != SIZE_MAX) {
        bool dotted = ln_slice_find(host, ':') == SIZE_MAX;
        if (!ln_num_u64(ln_slice_sub(text, slash + 1, text.size), dotted ? 32 : 128, &bits))
            return false;
        net.bits = (uint8_t)(bits + (dotted ? 96 : 0));
    }
    ln_ip first = first_of(&net.ip, net.bits);
    if (!ln_ip_eq(&first, &net.ip)) return false;
    *out = net;
    return true;
}

bool ln_cidr_has(const ln_cidr *net, const ln_ip *ip) {
    return same_bits(net->ip.bytes, ip->bytes, net->bits);
}

bool ln_cidrs_have(const ln_cidr *nets, size_t count, const ln_ip *ip) {
    for (size_t i = 0; i < count; i++)
        if (ln_cidr_has(&nets[i], ip)) return true;
    return false;
}
