/* letter.h -- what every mail between workers begins with.
 *
 * net/inbox carries chains of these and looks at nothing but `next`. The rooms that write mail
 * (hub/mail.h, lib/mail.h) say by `room` and `kind` what the rest of the memory is, and who owns
 * it.
 */
#ifndef LN_BASE_LETTER_H
#define LN_BASE_LETTER_H
#include <stdint.h>

typedef enum ln_letter_room { LN_LETTER_HUB, LN_LETTER_LIB } ln_letter_room;

typedef struct ln_letter {
    struct ln_letter *next;
    uint32_t bytes; /* what it accounts for at the door */
    uint8_t room;   /* ln_letter_room */
    uint8_t kind;   /* of that room's mail.h */
    uint8_t from;   /* worker that posted it last */
    uint8_t to;     /* worker it goes to */
} ln_letter;
#endif
