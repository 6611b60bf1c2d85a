<?php

return [
    'version' => 'v2',

    'whatsapp' => [
        'url' => env('WHATSAPP_SERVICE_URL', 'http://localhost:3000'),
        'token' => env('WHATSAPP_SERVICE_TOKEN'),
        'rate_limit' => (int) env('WHATSAPP_RATE_LIMIT', 50),
    ],

    'hybrid' => [
        'enabled' => (bool) env('HYBRID_CAMPAIGNS_ENABLED', false),
        'max_buttons' => (int) env('HYBRID_MAX_BUTTONS', 3),
    ],

    'faults_file' => '/srv/campaign/shared/faults.json',
];
