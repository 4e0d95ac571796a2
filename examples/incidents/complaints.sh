#!/bin/sh
# What people do who then complain, for docs/incidents.md. Each request has an id, as in the complaints.
ask() { id=$1; shift; curl -s -o /dev/null -H "X-Request-ID: $id" "$@"; }
api=http://127.0.0.1:8080/api

ask delete-1 -X DELETE $api/users/7
ask browser-1 --cacert shop.pem --resolve shop.example.com:8443:127.0.0.1 https://shop.example.com:8443/api/users/7
for i in 1 2 3 4 5 6 7 8; do ask order-$i $api/orders/$i; done
ask checkout-1 $api/checkout/basket
for i in 1 2 3 4 5 6 7 8; do ask user-$i $api/users/$i; done
for i in 1 2 3 4 5 6 7 8; do ask quote-$i $api/quotes/$i; done
ask report-1 -H "Authorization: Bearer $(cat old-token)" $api/reports/today
ask report-2 -H "Authorization: Bearer $(cat weak-token)" $api/reports/today
ask payment-1 $api/payments/1
ask invoice-1 http://127.0.0.1:8080/v2/invoices/1
