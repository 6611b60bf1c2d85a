<?php

use App\Http\Controllers\Api\CampaignController;
use App\Http\Controllers\Api\DirectoryController;
use App\Http\Controllers\Api\HealthController;
use App\Http\Controllers\Api\HybridCampaignController;
use App\Http\Controllers\Api\WhatsAppController;
use Illuminate\Support\Facades\Route;

Route::get('/health', [HealthController::class, 'show']);
Route::get('/health/detailed', [HealthController::class, 'detailed']);

Route::middleware('auth:api')->group(function () {
    Route::get('/campaigns', [CampaignController::class, 'index']);
    Route::post('/campaigns', [CampaignController::class, 'store']);
    Route::post('/campaigns/hybrid', [HybridCampaignController::class, 'store']);
    Route::get('/campaigns/status', [CampaignController::class, 'status']);
    Route::get('/campaigns/{campaign}', [CampaignController::class, 'show'])->whereNumber('campaign');

    Route::get('/templates', [DirectoryController::class, 'templates']);
    Route::get('/groups', [DirectoryController::class, 'groups']);
    Route::get('/contacts', [DirectoryController::class, 'contacts']);

    Route::get('/whatsapp/sessions', [WhatsAppController::class, 'index']);
    Route::post('/whatsapp/sessions/restart', [WhatsAppController::class, 'restart']);
});
