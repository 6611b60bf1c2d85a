<?php

namespace App\Providers;

use App\Jobs\SendCampaignMessage;
use App\Services\WhatsAppClient;
use App\Support\Faults;
use App\Support\ViteManifest;
use Illuminate\Queue\Events\JobProcessed;
use Illuminate\Queue\Queue;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\ServiceProvider;

class AppServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        $this->app->singleton(Faults::class, fn () => new Faults(config('campaign.faults_file')));
        $this->app->singleton(ViteManifest::class, fn () => new ViteManifest(public_path('build')));
        $this->app->singleton(WhatsAppClient::class, fn () => new WhatsAppClient(
            config('campaign.whatsapp.url'),
            (string) config('campaign.whatsapp.token'),
        ));
    }

    public function boot(): void
    {
        // The log id in clear text lets PendingMessages see which rows already have a job without unserializing it.
        Queue::createPayloadUsing(function ($connection, $queue, array $payload): array {
            $job = $payload['data']['command'] ?? null;

            return $job instanceof SendCampaignMessage ? ['campaign_log_id' => $job->logId] : [];
        });

        Event::listen(JobProcessed::class, fn () => $this->app->make(Faults::class)->read()->growMemory());
    }
}
