/* envelope.h -- what stands inside the envelopes of C and D (PROTOCOL 1).
 *
 * Their clients put into `payload` what linnet.v1 says beside it: which channel, which event, which
 * method. Each function takes a command that ln_native_parse has read, and says in the words of all
 * what it means.
 *
 *   C  event    a publication in the channel or room that its payload, or the data in it, names;
 *               of none: LN_VERB_EVENT
 *      command  LN_VERB_CALL of its action; `subscribe`, `unsubscribe` and `publish` with a channel
 *      query    among the parameters are ours. LN_VERB_CALL of its resource
 *      response, error  LN_VERB_REPLY
 *   D  join, leave  of a room
 *      any other type that is not ours  a publication: the payload, or the whole object if there is
 *               none; the type is its event. Who names no room means the one he joined last, which
 *               is for others to know
 *
 * Whoever names a verb of linnet.v1 as the type is heard too, with its channel and data in the
 * payload or beside it.
 */
#ifndef LN_WIRE_ENVELOPE_H
#define LN_WIRE_ENVELOPE_H
#include "wire/native.h"

/* object: as given to ln_native_parse, and the scratch of that, which has room for what is
 * unescaped here. LN_DONE, or LINNET_ERR_JSON with *why, when what came is not what it should be;
 * then the command is not to be obeyed. */
typedef int ln_envelope(
    const ln_json_value *object, ln_buf *scratch, ln_native_command *c, const char **why);
ln_envelope ln_envelope_rpc, ln_envelope_event;
#endif
