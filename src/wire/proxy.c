#include "wire/proxy.h"
#include "base/num.h"

#define V1_MAX  107 /* with CR LF */
#define V2_HEAD 16

enum { TLV_AUTHORITY = 2, TLV_CRC32C = 3, TLV_UNIQUE_ID = 5, TLV_SSL = 0x20 };
#define AUTHORITY_MAX 255
#define UNIQUE_ID_MAX 128
#define SSL_FIXED     5 /* client bits, verify */

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static uint16_t be16(const uint8_t *at) {
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* ---- version 1 -------------------------------------------------------------------------- */

static bool port_of(ln_slice text, uint16_t *out) {
    uint64_t n;
    if (!ln_num_u64(text, UINT16_MAX, &n)) return false;
    *out = (uint16_t)n;
    return true;
}

static bool address_of(ln_slice text, bool v4, ln_ip *out) {
    bool dotted = ln_slice_find(text, ':') == SIZE_MAX;
    return dotted == v4 && ln_ip_parse(text, out);
}

/* What stands between "PROXY " and CR LF. */
static bool v1_line(ln_slice rest, ln_proxy *out) {
    ln_slice parts[5];
    size_t n = 0;
    for (ln_slice part; ln_slice_cut(&rest, ' ', &part); n++) {
        if (n == 0 && ln_slice_eq(part, LN_SLICE("UNKNOWN"))) return true;
        if (n == 5) return false;
        parts[n] = part;
    }
    if (n != 5) return false;
    bool v4 = ln_slice_eq(parts[0], LN_SLICE("TCP4"));
    if (!v4 && !ln_slice_eq(parts[0], LN_SLICE("TCP6"))) return false;
    out->known = true;
    return address_of(parts[1], v4, &out->from) && address_of(parts[2], v4, &out->to) &&
           port_of(parts[3], &out->from_port) && port_of(parts[4], &out->to_port);
}

static int read_v1(ln_slice *in, ln_proxy *out) {
    ln_slice begin = LN_SLICE("PROXY ");
    size_t n = in->size < begin.size ? in->size : begin.size;
    if (memcmp(in->data, begin.data, n) != 0) return LINNET_ERR_PROXY;
    ln_slice line = ln_slice_sub(*in, 0, in->size < V1_MAX ? in->size : V1_MAX);
    size_t end = ln_slice_find(line, '\n');
    if (end == SIZE_MAX) return line.size == V1_MAX ? LINNET_ERR_PROXY : LN_MORE;
    if (end <= begin.size || line.data[end - 1] != '\r') return LINNET_ERR_PROXY;
    line = ln_slice_sub(line, begin.size, end - 1);
    if (ln_slice_find(line, '\r') != SIZE_MAX || !v1_line(line, out)) return LINNET_ERR_PROXY;
    ln_slice_skip(in, end + 1);
    return LN_DONE;
}

/* ---- version 2 -------------------------------------------------------------------------- */

/* Castagnoli's, over the header with the sum itself zeroed. Bit by bit: it is once per connection,
 * and a table would be larger than all headers of a day. */
static uint32_t crc32c(ln_slice s, size_t zero_from) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < s.size; i++) {
        crc ^= i >= zero_from && i < zero_from + 4 ? 0 : s.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static bool sum_fits(ln_slice header, ln_slice value) {
    if (value.size != 4) return false;
    uint32_t said = (uint32_t)be16(value.data) << 16 | be16(value.data + 2);
    return said == crc32c(header, (size_t)(value.data - header.data));
}

/* Of a list of TLVs: the next one off its front. False: it does not fit. */
static bool next_tlv(ln_slice *in, uint8_t *type, ln_slice *value) {
    if (in->size < 3) return false;
    size_t n = be16(in->data + 1);
    *type = in->data[0];
    if (in->size - 3 < n) return false;
    *value = ln_slice_sub(*in, 3, 3 + n);
    ln_slice_skip(in, 3 + n);
    return true;
}

static bool ssl(ln_slice value, ln_proxy *out) {
    if (value.size < SSL_FIXED) return false;
    out->tls = value.data[0] & 1;
    ln_slice_skip(&value, SSL_FIXED);
    while (value.size) {
        uint8_t type;
        ln_slice sub;
        if (!next_tlv(&value, &type, &sub)) return false;
    }
    return true;
}

/* A host name as it comes by SNI, in UTF-8; nothing in it may end a line of a log. */
static bool authority(ln_slice value, ln_proxy *out) {
    if (value.size == 0 || value.size > AUTHORITY_MAX) return false;
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] <= ' ' || value.data[i] == 0x7f) return false;
    out->authority = value;
    return true;
}

static bool tlvs(ln_slice header, ln_slice in, ln_proxy *out) {
    uint64_t seen = 0; /* of those that mean something to us: each at most once */
    while (in.size) {
        uint8_t type;
        ln_slice value;
        if (!next_tlv(&in, &type, &value)) return false;
        if (type < 64 && type != 4 && seen >> type & 1) return false;
        if (type < 64) seen |= UINT64_C(1) << type;
        if (type == TLV_CRC32C && !sum_fits(header, value)) return false;
        if (type == TLV_SSL && !ssl(value, out)) return false;
        if (type == TLV_AUTHORITY && !authority(value, out)) return false;
        if (type == TLV_UNIQUE_ID && value.size > UNIQUE_ID_MAX) return false;
    }
    return true;
}

/* How many bytes the addresses of a family and protocol are; SIZE_MAX: none we take. */
static size_t addresses_of(uint8_t family) {
    switch (family) {
    case 0x11: return 12;
    case 0x21: return 36;
    case 0x31: return 216;
    default: return SIZE_MAX;
    }
}

static void addresses(const uint8_t *at, uint8_t family, ln_proxy *out) {
    size_t ports = family == 0x11 ? 8 : 32;
    if (family == 0x31) return; /* of a Unix socket: nobody one could name */
    out->from = family == 0x11 ? ln_ip_of_v4(at) : ln_ip_of_v6(at);
    out->to = family == 0x11 ? ln_ip_of_v4(at + 4) : ln_ip_of_v6(at + 16);
    out->from_port = be16(at + ports);
    out->to_port = be16(at + ports + 2);
    out->known = true;
}

static int read_v2(ln_slice *in, ln_proxy *out) {
    const uint8_t *at = in->data;
    size_t n = in->size < sizeof signature ? in->size : sizeof signature;
    if (memcmp(at, signature, n) != 0) return LINNET_ERR_PROXY;
    if (in->size > 12 && at[12] != 0x20 && at[12] != 0x21) return LINNET_ERR_PROXY;
    bool local = in->size > 12 && at[12] == 0x20;
    size_t room = in->size > 13 ? addresses_of(at[13]) : 0;
    bool silent = local || (in->size > 13 && at[13] == 0);
    if (room == SIZE_MAX && !silent) return LINNET_ERR_PROXY;
    if (in->size < V2_HEAD) return LN_MORE;
    size_t length = be16(at + 14);
    if (V2_HEAD + length > LN_PROXY_MAX || (!silent && length < room)) return LINNET_ERR_PROXY;
    if (in->size < V2_HEAD + length) return LN_MORE;
    ln_slice header = ln_slice_sub(*in, 0, V2_HEAD + length);
    if (!silent) {
        addresses(at + V2_HEAD, at[13], out);
        if (!tlvs(header, ln_slice_sub(header, V2_HEAD + room, header.size), out))
            return LINNET_ERR_PROXY;
    }
    ln_slice_skip(in, header.size);
    return LN_DONE;
}

int ln_proxy_read(ln_slice *in, ln_proxy *out) {
    ln_proxy read = { .known = false };
    if (in->size == 0) return LN_MORE;
    int r = in->data[0] == signature[0] ? read_v2(in, &read) : read_v1(in, &read);
    if (r == LN_DONE) *out = read;
    return r;
}
