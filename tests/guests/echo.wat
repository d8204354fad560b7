;; Delivers the event's data as it is: nothing but the usual functions.
