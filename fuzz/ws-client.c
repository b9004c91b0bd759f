/* Our client, and whatever a server may send; see ws.h. */
#include "ws.h"

void fuzz_one(ln_slice in) {
    fuzz_ws(true, in);
}
