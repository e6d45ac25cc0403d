cdef enum PlanFlag:           # of Call.flags
    DEPENDENCY_FAILED = 1
    WANTS_VALUES = 2          # refers to what a dependency returns
    NOT_EVALUABLE = 4         # its condition cannot be parsed or names an unknown call
    URL_REFERENCE = 8
    ETAG_REFERENCE = 16
    IN_LINE = 32              # has a place in the sequence
    NAMES_GROUP = 64          # one of the names in its dependsOn is that of a group
    WANTS_BYTES = 128         # wants whole results: resultOf(<id>)
    DEAR = 256                # what is to be done for it before it starts is more than a few microseconds
    DECIDED = 512             # it has been given to be settled
