#include "conn/conn.h"

static const uint16_t codes[LN_CLOSE_CODES] = { 0, 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008,
    1009, 1010, 1011, 1012, 1013, 1015, 3001, 3002, 3003, 3005, 3008, 3009, 3010, 3012, 3500, 3501,
    3502, 3503, 3504, 3505, 3506, 3507, 3508, 4000 };

uint16_t ln_close_code(unsigned index) {
    return index < LN_CLOSE_CODES ? codes[index] : 0;
}

unsigned ln_close_index(uint16_t code) {
    for (unsigned i = 1; i < LN_CLOSE_CODES; i++)
        if (codes[i] == code) return i;
    return 0;
}
