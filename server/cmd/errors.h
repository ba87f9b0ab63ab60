/* Error texts that clients match, word for word Redis 7.0's. One that is used in a single place may stand there. */
#ifndef CMD_ERRORS_H
#define CMD_ERRORS_H

#define ERR_SYNTAX          "ERR syntax error"
#define ERR_WRONGTYPE       "WRONGTYPE Operation against a key holding the wrong kind of value"
#define ERR_NOT_AN_INTEGER  "ERR value is not an integer or out of range"
#define ERR_NOT_A_FLOAT     "ERR value is not a valid float"
#define ERR_NO_SUCH_KEY     "ERR no such key"
#define ERR_OUT_OF_RANGE    "ERR index out of range"
#define ERR_DB_OUT_OF_RANGE "ERR DB index is out of range"
#define ERR_OVERFLOW        "ERR increment or decrement would overflow"
#define ERR_STRING_TOO_LONG "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
#define ERR_CLIENT_NAME     "ERR Client names cannot contain spaces, newlines or special characters."
#define ERR_NOSCRIPT        "NOSCRIPT No matching script. Please use EVAL."
#define ERR_NOAUTH          "NOAUTH Authentication required."
#define ERR_NOPROTO         "NOPROTO unsupported protocol version"
#define ERR_OOM             "OOM command not allowed when used memory > 'maxmemory'."
#define ERR_NOREPLICAS      "NOREPLICAS Not enough good replicas to write."
#define ERR_BUSY_SCRIPT                                                                                      \
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
#define ERR_BUSY_FUNCTION                                                                                    \
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."

/* Ours. Cluster clients know the code and try again; nothing was done. */
#define ERR_NO_LEADER "CLUSTERDOWN no leader is known at the moment, and nothing was done"
#define ERR_REMOVED   "CLUSTERDOWN this node was removed from the cluster"

#endif
